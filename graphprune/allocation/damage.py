"""What zeros in one layer alone cost the model's outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir
from pydantic import ConfigDict

from graphprune.allocation.levels import at_level, levels_of
from graphprune.allocation.sensitivity import Sensitivity
from graphprune.analysis.weights import LinearWeight
from graphprune.calibration.inputs import LayerInputs, Wanted
from graphprune.calibration.layer import needs_products, solve
from graphprune.calibration.ranges import Feed
from graphprune.calibration.streaming.activations import MEMORY
from graphprune.calibration.streaming.columns import why_no_columns
from graphprune.files import work_folder
from graphprune.passes.base import clone_apart
from graphprune.passes.shape_inference import infer_shapes
from graphprune.planning.documents import Document
from graphprune.planning.pruning_plan import PruningPlan, WeightPlan

_REFERENCE = 0.6
"""The share of zeros at which the effect on the outputs is measured, or the next one that changes a layer's."""


class Damages(Document):
    """What zeros in one weight alone cost.

    Attributes:
        levels: Shares of zeros.
        weights: By name, the mean square of what the model's outputs differ by, over that of the outputs, at each of
            the levels; infinite where the weight has no such form.
    """

    model_config = ConfigDict(ser_json_inf_nan="strings")

    levels: tuple[float, ...]
    weights: dict[str, tuple[float, ...]]


def measure_damages(
    model: ir.Model,
    plan: PruningPlan,
    feeds: Sequence[Feed],
    on_layer: Callable[[int], None] | None = None,
) -> Damages:
    """Prune each weight of a plan alone, at several shares of zeros.

    The error of the layer's own outputs is measured at each share, that of the model's at one: a small error grows on
    its way in proportion, so the one gives the others.

    Args:
        model: Dense.
        plan: Which weights, with which pattern and criterion; its shares do not matter.
        feeds: Samples.
        on_layer: Called with the number of weights that are done.

    Raises:
        RecipeError: See `levels_of`.
        InputError: As `graphprune.prune`, of samples.
    """
    model = clone_apart(model)
    model.graph.sort()
    infer_shapes(model)
    levels = levels_of(plan)
    found = [(planned, weight) for planned, weight in plan.resolve(model) if _is_seen(weight, model.graph)]
    by_node = {weight.node: (planned, weight) for planned, weight in found}
    products = any(needs_products(planned, ()) for planned, _ in found)
    sensitivity = Sensitivity(model, [weight for _, weight in found], feeds)
    damages: dict[str, tuple[float, ...]] = {}
    with work_folder() as folder:
        inputs = LayerInputs(model, by_node, feeds, folder, MEMORY, Wanted(products=products))
        for nodes in inputs.stops():
            for node in nodes:
                planned, weight = by_node[node]
                damages[planned.name] = _damage(planned, weight, levels, inputs, sensitivity)
                if on_layer:
                    on_layer(len(damages))
    return Damages(levels=levels, weights=damages)


def _is_seen(weight: LinearWeight, graph: ir.Graph) -> bool:
    return weight.quantization is None and why_no_columns(weight, graph) is None


def _damage(
    planned: WeightPlan,
    weight: LinearWeight,
    levels: Sequence[float],
    inputs: LayerInputs,
    sensitivity: Sensitivity,
) -> tuple[float, ...]:
    array, moments = weight.real_values(), inputs.moments(weight)
    entries = [at_level(planned, level) for level in levels]
    solutions = [None if entry is None else solve(entry, array, moments, ()) for entry in entries]
    errors = np.array([0.0 if solution is None else solution.error for solution in solutions])
    impossible = np.array([entry is None and level > 0 for entry, level in zip(entries, levels, strict=True)])
    reference = int(np.argmin(np.where(errors > 0, np.abs(np.array(levels) - _REFERENCE), np.inf)))
    known, gain = solutions[reference], 0.0
    if known is not None and errors[reference]:
        gain = sensitivity.error(weight, known.weight.astype(array.dtype)) / errors[reference] ** 2
    return tuple(np.where(impossible, np.inf, gain * np.square(errors)).tolist())
