"""What operators say about the extents of channels beside their weights: it has to follow when channels go."""

from __future__ import annotations

from graphprune.passes.operands import counts, norms, ranges, shapes
from graphprune.passes.operands.biases import take_up, takes_up
from graphprune.passes.operands.cut_node import CutNode, Follow

FOLLOW: dict[str, Follow] = {**counts.FOLLOW, **norms.FOLLOW, **ranges.FOLLOW, **shapes.FOLLOW}
"""By operator; those that are not here take all extents from their operands."""

__all__ = ["FOLLOW", "CutNode", "take_up", "takes_up"]
