"""Take channels that are zero out of a model, so that it gets smaller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial, reduce
from typing import ClassVar

import onnx_ir as ir

from graphprune.analysis.channels import ChannelGroup, channel_layout
from graphprune.analysis.channels.layout import IntArray
from graphprune.analysis.channels.removable import removable_channels
from graphprune.analysis.channels.values import taken
from graphprune.analysis.constants import constant_tensor, derive_constant
from graphprune.diagnostics import Rewrite, Skip
from graphprune.passes.base import ChannelMap, Equivalence, Pass, PassOutcome
from graphprune.passes.fresh_names import FreshNames
from graphprune.passes.operands import FOLLOW, CutNode, can_fold, fold_into_bias
from graphprune.passes.shape_inference import infer_shapes
from graphprune.stages.stage import Stage


@dataclass(frozen=True)
class FoldChannels(Pass):
    """Remove the channels that are zero, or another constant, wherever they are read, from everything that has them.

    Weights that make and read them, biases, norms, the sizes of splits and reshapes, group counts. What reads only
    zeros is the same function without them. The map of channels says, for each weight that made some, which are left.

    Before::

        g (float[N,2] x) => (float[N,2] y) <
            float[2,3] w = {4, 0, 1, 3, 0, 2}, float[3] b = {1, 0, 3}, float[3,2] v = {1, 2, 3, 4, 5, 6}
        > {
            h = MatMul (x, w)
            a = Add (h, b)
            y = MatMul (a, v)
        }

    After::

        g (float[N,2] x) => (float[N,2] y) <
            float[2,2] w = {4, 1, 3, 2}, float[2] b = {1, 3}, float[2,2] v = {1, 2, 5, 6}
        > {
            h = MatMul (x, w)
            a = Add (h, b)
            y = MatMul (a, v)
        }

    Channels that are other constants, as behind a bias or a Sigmoid, go into the bias of what reads them, if it has no
    padding.

    Refuses: GP370 to GP378 zero channels that cannot be removed, GP380 a constant cannot go into a bias, GP381 all
        channels of a group are constant, and one stays, GP382 the weights of channels are zero, but not what is read.
    """

    name: ClassVar[str] = "fold-channels"
    consumes: ClassVar[frozenset[Stage]] = frozenset({Stage.DENSE, Stage.SPARSE})
    equivalence: ClassVar[Equivalence] = Equivalence.REASSOCIATED

    def apply(self, model: ir.Model) -> PassOutcome:
        """Find what is zero, then cut constants, operands and shapes."""
        rounds: list[_Round] = []
        while not rounds or rounds[-1].folded:
            rounds.append(_fold(model))
        return PassOutcome(
            tuple(rewrite for each in rounds for rewrite in each.rewrites),
            rounds[-1].skips,
            reduce(_composed, (each.channel_map for each in rounds)),
        )


@dataclass(frozen=True)
class _Round:
    """What one round removed; `folded` says whether it changed biases, which the next round looks at."""

    rewrites: tuple[Rewrite, ...]
    skips: tuple[Skip, ...]
    channel_map: ChannelMap
    folded: bool


def _fold(model: ir.Model) -> _Round:
    infer_shapes(model)  # channels are followed through them
    layout = channel_layout(model)
    found = removable_channels(layout, model, can_fold)
    kept, names = dict(layout.kept(found.channels)), FreshNames(model)
    for node in list(model.graph):
        touched = any(value in kept for value in (*node.inputs, *node.outputs))  # of the others no rank need be known
        if touched and node.domain == "" and node.op_type in FOLLOW:
            FOLLOW[node.op_type](CutNode(node, kept, names))
    for node, at in found.folded:
        fold_into_bias(CutNode(node, kept, names), at)
    for value, cuts in kept.items():
        _cut(value, cuts)
    groups = [group for group in layout.groups if group.name in found.channels]
    rewrites = tuple(_rewrite(group, found.channels[group.name]) for group in groups)
    return _Round(rewrites, found.skips, layout.channel_map(kept), bool(found.folded))


def _composed(first: ChannelMap, second: ChannelMap) -> ChannelMap:
    """Return where channels come from after two rounds."""
    both = {name: tuple(first[name][i] for i in kept) if name in first else kept for name, kept in second.items()}
    return {**first, **both}


def _cut(value: ir.Value, cuts: Mapping[int, IntArray]) -> None:
    """Give a value its new shape, and a constant what is left of its numbers."""
    if value.shape is None:
        return
    shape = ir.Shape(cuts[axis].size if axis in cuts else extent for axis, extent in enumerate(value.shape))
    if constant_tensor(value) is not None:
        derive_constant(value, partial(taken, cuts=cuts), shape.numpy())
    value.shape = shape


def _rewrite(group: ChannelGroup, gone: IntArray) -> Rewrite:
    touched = {each.name for each in (*group.producers, *group.carriers, *group.readers, *group.companions)}
    share = f"{gone.size} of {group.size} channels ({gone.size / group.size:.1%})"
    return Rewrite("channels", group.name, f"{share} removed from {len(touched)} constants")
