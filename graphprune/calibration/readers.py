"""The layers that read channels that go: which of their inputs stay, and as what they are pruned."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.analysis.weights import LinearWeight, linear_weights, prunable_weights
from graphprune.masks.least_squares import Mask
from graphprune.passes.fresh_names import FreshNames
from graphprune.passes.product_bias import add_bias
from graphprune.planning.channels.plan import resolve_channels
from graphprune.planning.pruning_plan import PruningPlan, WeightPlan, fingerprint

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class KeptInputs:
    """What stays of weights that read channels that go, and of others: no zero becomes anything else.

    Attributes:
        gone: The indices that go, each with its axis, by the name of the weight.
    """

    gone: Mapping[str, Sequence[tuple[int, Indices]]]

    @classmethod
    def of(cls, model: ir.Model, plan: PruningPlan, seen: Collection[str]) -> KeptInputs:
        """Take what goes.

        Args:
            model: That the plan of channels is of.
            plan: It lists the channels.
            seen: Weights in front of which samples were; others are left alone.
        """
        gone: dict[str, list[tuple[int, Indices]]] = {}
        for planned, group in resolve_channels(plan.channels, model):
            for each in group.readers if planned.channels else ():
                if each.name in seen:
                    indices = each.indices()[list(planned.channels or ())].reshape(-1)
                    gone.setdefault(each.name, []).append((each.axis, indices))
        return cls(gone)

    def mask(self, weight: LinearWeight) -> Mask:
        """Return which elements stay, of the shape of the weight."""
        found: Mask = weight.real_values() != 0
        for axis, indices in self.gone.get(weight.name, ()):
            found[(slice(None),) * axis + (indices,)] = False
        return found


def give_biases(model: ir.Model, names: Collection[str]) -> None:
    """Give the layers of some weights a bias of zeros, behind a MatMul by an Add, where they can have one."""
    fresh = FreshNames(model)
    for weight in linear_weights(model)[0]:
        node, is_left = weight.node, weight.uses[0].index != 1
        if weight.name in names and not is_left and node.outputs[0].dtype == ir.DataType.FLOAT:
            add_bias(node, np.zeros(weight.shape[weight.axes.output]), fresh)


def plan_layers(model: ir.Model, kept: KeptInputs, *, everything: bool) -> PruningPlan:
    """Return a plan of the weights of which less stays, or of all prunable ones beside; its shares do not matter."""
    weights = linear_weights(model)[0]
    wanted = {weight.name for weight in prunable_weights(model)[0]} if everything else set()
    entries = tuple(_planned(weight) for weight in weights if weight.name in wanted | kept.gone.keys())
    return PruningPlan(model=fingerprint(weights), weights=entries)


def _planned(weight: LinearWeight) -> WeightPlan:
    axes = weight.axes
    return WeightPlan(
        name=weight.name, shape=weight.shape, output_axis=axes.output, input_axis=axes.input, sparsity=0.0
    )
