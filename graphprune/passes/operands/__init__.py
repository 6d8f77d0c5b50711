"""Operands and attributes that depend on the number of channels, and have to change when channels are removed."""

from __future__ import annotations

from graphprune.passes.operands import counts, norms, ranges, shapes
from graphprune.passes.operands.biases import can_fold, fold_into_bias
from graphprune.passes.operands.cut_node import CutNode, Follow

FOLLOW: dict[str, Follow] = {**counts.FOLLOW, **norms.FOLLOW, **ranges.FOLLOW, **shapes.FOLLOW}
"""By operator; those that are not here take all extents from their operands."""

__all__ = ["FOLLOW", "CutNode", "can_fold", "fold_into_bias"]
