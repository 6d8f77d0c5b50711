"""The layers that read channels that go: which of their inputs stay, and as what they are pruned."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import onnx_ir as ir

from graphprune.analysis.weights import LinearWeight, linear_weights, prunable_weights
from graphprune.masks.least_squares import Mask
from graphprune.passes.fresh_names import FreshNames
from graphprune.passes.product_bias import add_bias
from graphprune.planning.channels.plan import resolve_channels
from graphprune.planning.pruning_plan import PruningPlan, WeightPlan, fingerprint


def kept_inputs(model: ir.Model, plan: PruningPlan, seen: Collection[str]) -> dict[str, Mask]:
    """Return which elements stay of each weight that reads channels that go, by its name.

    Args:
        model: That the plan of channels is of.
        plan: It lists the channels.
        seen: Weights in front of which samples were.
    """
    shapes = {weight.name: weight.shape for weight in linear_weights(model)[0] if weight.name in seen}
    kept: dict[str, Mask] = {}
    for planned, group in resolve_channels(plan.channels, model):
        for each in group.readers if planned.channels else ():
            if each.name in shapes:
                mask = kept.setdefault(each.name, np.ones(shapes[each.name], bool))
                gone = each.indices()[list(planned.channels or ())].reshape(-1)
                mask[(slice(None),) * each.axis + (gone,)] = False
    return kept


def give_biases(model: ir.Model, names: Collection[str]) -> None:
    """Give the layers of some weights a bias of zeros, behind a MatMul by an Add, where they can have one."""
    fresh = FreshNames(model)
    for weight in linear_weights(model)[0]:
        node, is_left = weight.node, weight.uses[0].index != 1
        if weight.name in names and not is_left and node.outputs[0].dtype == ir.DataType.FLOAT:
            add_bias(node, np.zeros(weight.shape[weight.axes.output]), fresh)


def plan_layers(model: ir.Model, kept: Mapping[str, Mask], *, everything: bool) -> PruningPlan:
    """Return the plan of the weights of which less stays, or of all prunable ones beside."""
    weights = linear_weights(model)[0]
    wanted = {weight.name for weight in prunable_weights(model)[0]} if everything else set()
    entries = tuple(
        _planned(weight, kept.get(weight.name)) for weight in weights if weight.name in wanted | kept.keys()
    )
    return PruningPlan(model=fingerprint(weights), weights=entries)


def _planned(weight: LinearWeight, kept: Mask | None) -> WeightPlan:
    return WeightPlan(
        name=weight.name,
        shape=weight.shape,
        output_axis=weight.axes.output,
        input_axis=weight.axes.input,
        sparsity=0.0 if kept is None else 1 - float(kept.mean()),
    )
