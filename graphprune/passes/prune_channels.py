"""Set whole channels to zero as a plan says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.analysis.channels import ChannelGroup
from graphprune.analysis.channels.values import constant_values, read
from graphprune.analysis.constants import derive_constant
from graphprune.diagnostics import Rewrite, Skip
from graphprune.masks.channel_criteria import score_channels, weakest
from graphprune.passes.base import Equivalence, PassOutcome
from graphprune.passes.plan_option import PlanPass
from graphprune.passes.shape_inference import infer_shapes
from graphprune.passes.stage_change import with_stage_change
from graphprune.planning.channels.budgets import group_values
from graphprune.planning.channels.plan import ChannelPlan
from graphprune.stages.stage import Stage


@dataclass(frozen=True)
class PruneChannels(PlanPass):
    """Set the channels of each planned group that are worth least to zero, in all that carries them.

    The rows of weights, biases, scales and shifts of norms: a channel is then zero wherever it is read, and
    `FoldChannels` can take it out. Among channels of equal score, those of lower index go first; where the plan lists
    channels, these go.

    Run: prune-channels{plan={"model":"98d1283f962ea0af","channels":[{"group":"w","size":3,"sparsity":0.34}]}}

    Before::

        g (float[N,2] x) => (float[N,2] y) <
            float[2,3] w = {4, -1, 1, 3, 0, 2}, float[3] b = {1, 2, 3}, float[3,2] v = {1, 2, 3, 4, 5, 6}
        > {
            h = MatMul (x, w)
            a = Add (h, b)
            y = MatMul (a, v)
        }

    After::

        g (float[N,2] x) => (float[N,2] y) <
            float[2,3] w = {4, 0, 1, 3, 0, 2}, float[3] b = {1, 0, 3}, float[3,2] v = {1, 2, 3, 4, 5, 6}
        > {
            h = MatMul (x, w)
            a = Add (h, b)
            y = MatMul (a, v)
        }

    Raises: GP306 the criterion goes by samples, and the plan lists no channels, GP323 a group holds NaN or an infinity,
        GP324 the plan was made for another model, GP338 a criterion does not apply, GP379 a masked channel would not be
        zero where it is read, GP243 the option is no plan.
    Refuses: GP335 a group has as many zero channels as the plan asks for.
    """

    name: ClassVar[str] = "prune-channels"
    consumes: ClassVar[frozenset[Stage]] = frozenset({Stage.DENSE, Stage.SPARSE})
    produces: ClassVar[Stage | None] = Stage.SPARSE
    equivalence: ClassVar[Equivalence] = Equivalence.LOSSY

    def apply(self, model: ir.Model) -> PassOutcome:
        """Choose the channels of all groups, then replace the tensors."""
        infer_shapes(model)  # channels are followed through them
        values = constant_values(model)
        rewrites: list[Rewrite] = []
        skips: list[Skip] = []
        resolved = self.plan.resolve_channels(model)
        chosen = [(group, _chosen(planned, group, values)) for planned, group in resolved if planned.pruned]
        for group, channels in chosen:
            if _zero(group, channels, values):
                rewrites.append(Rewrite("channels", group.name, _detail(group, channels)))
            else:
                skips.append(Skip("GP335", group.name, f"has {len(channels)} zero channels of {group.size} already"))
        return PassOutcome(with_stage_change(model, Stage.SPARSE, rewrites), tuple(skips))


def _chosen(planned: ChannelPlan, group: ChannelGroup, values: dict[str, ir.Value]) -> Sequence[int]:
    if planned.channels is not None:
        return planned.channels
    return weakest(score_channels(planned.criterion, group_values(group, values)), planned.pruned)


def _zero(group: ChannelGroup, channels: Sequence[int], values: dict[str, ir.Value]) -> bool:
    """Zero the channels in every constant that makes or carries them; return whether anything changed."""
    changed = False
    for each in (*group.producers, *group.carriers):
        array = read(values[each.name])
        where = (slice(None),) * each.axis + (each.indices()[list(channels)].reshape(-1),)
        if np.any(array[where]):
            derive_constant(values[each.name], partial(_zeroed, where=where), array.shape)
            changed = True
    return changed


def _zeroed(array: npt.NDArray[Any], where: tuple[Any, ...]) -> npt.NDArray[Any]:
    copy = array.copy()
    copy[where] = 0
    return copy


def _detail(group: ChannelGroup, channels: Sequence[int]) -> str:
    weights = f"{len(group.producers)} weights" if len(group.producers) > 1 else "one weight"
    return f"{len(channels)} of {group.size} channels of {weights} set to zero ({len(channels) / group.size:.1%})"
