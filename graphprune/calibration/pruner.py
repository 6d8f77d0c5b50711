"""A model of which layer after layer is pruned by what it multiplies, and what becomes of each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import onnx_ir as ir

from graphprune.analysis.constants import replace_constant
from graphprune.analysis.weights import LinearWeight
from graphprune.calibration.finished import FinishedLayer, FinishedLayers
from graphprune.calibration.inputs import LayerInputs
from graphprune.calibration.layer import needs_products, solve
from graphprune.calibration.matching import Matched, can_shift, moved
from graphprune.calibration.ranges import Feed
from graphprune.calibration.repair import Repair
from graphprune.calibration.streaming.columns import why_no_columns
from graphprune.diagnostics import Skip
from graphprune.errors import RecipeError
from graphprune.files import work_folder
from graphprune.graph.nodes import describe
from graphprune.masks.least_squares import Mask
from graphprune.masks.refinement import Refinement
from graphprune.passes.base import clone_apart
from graphprune.passes.fresh_names import FreshNames
from graphprune.passes.product_bias import output_scale, shift_bias
from graphprune.passes.shape_inference import infer_shapes
from graphprune.planning.pruning_plan import PruningPlan, WeightPlan
from graphprune.stages.stage import Stage, set_stage
from graphprune.stages.verification import verify_stage

_LOG = logging.getLogger("graphprune")

_ON_BIASES = frozenset({Repair.BIAS, Repair.BATCH_NORM})


@dataclass(frozen=True)
class PrunedLayer:
    """What became of one weight.

    Attributes:
        name: Of the weight.
        zeros: How many of its elements are zero.
        elements: How many it has.
        error: The root of the mean square of what the layer's outputs differ by, over that of the outputs, on rows of
            the samples, with what lies before it pruned.
    """

    name: str
    zeros: int
    elements: int
    error: float


@dataclass(frozen=True)
class PruneResult:
    """What came of it.

    Attributes:
        model: The pruned model.
        layers: What became of each weight, in the order in which they were pruned.
        skips: Weights that were left alone, and repairs that a layer does not take.
        samples: How many samples were looked at.
    """

    model: ir.Model
    layers: tuple[PrunedLayer, ...]
    skips: tuple[Skip, ...]
    samples: int


class Pruner:
    """A clone of a model, of which layer after layer is pruned."""

    def __init__(
        self,
        model: ir.Model,
        plan: PruningPlan,
        repairs: frozenset[Repair],
        refinement: Refinement | None = None,
        kept: Callable[[LinearWeight], Mask] | None = None,
    ) -> None:
        """Take the weights of a plan; those that samples say nothing of are left alone, with a warning.

        Args:
            model: Dense or pruned.
            plan: Of weights, for this model.
            repairs: What is done to the weights that stay.
            refinement: What is done to the masks before.
            kept: Returns which elements of a weight stay, where something else than the plan says that.

        Raises:
            RecipeError: GP324, GP326, GP587.
        """
        if plan.channels:
            raise RecipeError("prune: the plan is of channels, which samples do not choose", code="GP587")
        self.model, self.repairs, self._refinement = clone_apart(model), repairs, refinement
        self._kept = kept
        self.model.graph.sort()
        infer_shapes(self.model)
        self._dense = self.model.clone()
        self.layers: list[PrunedLayer] = []
        found = [(planned, weight, self._refusal(planned, weight)) for planned, weight in plan.resolve(self.model)]
        self.by_node = {weight.node: (planned, weight) for planned, weight, refusal in found if refusal is None}
        self.skips = [Skip(refusal[0], weight.name, refusal[1]) for _, weight, refusal in found if refusal is not None]
        if not self.by_node:
            raise RecipeError(f"nothing to prune: {self.skips[0]}", code="GP326")
        for skip in self.skips:
            _LOG.warning("%s", skip)
        self._names = FreshNames(self.model)
        behind = moved(self.model, self.by_node, self._names) if Repair.BATCH_NORM in repairs else ()
        self.moved = {product.node: product for product in behind}

    @property
    def needs_products(self) -> bool:
        """Whether second moments of any two inputs of a layer are needed."""
        return any(needs_products(planned, self.repairs) for planned, _ in self.by_node.values())

    def _refusal(self, planned: WeightPlan, weight: LinearWeight) -> tuple[str, str] | None:
        changes = needs_products(planned, self.repairs) or Repair.BATCH_NORM in self.repairs
        if weight.quantization is not None and changes:
            return "GP318", f"holds {weight.tensor.dtype.name.lower()}, of which others cannot take the place"
        return why_no_columns(weight, self.model.graph)

    def visit(self, node: ir.Node, inputs: LayerInputs, finished: FinishedLayers | None) -> None:
        """Prune the weight of a node that the samples are in front of, or match a layer that stays dense."""
        if node in self.moved:
            self.moved[node].match(inputs.outputs(node), self._names)
        else:
            self._prune(node, inputs, finished)

    def _prune(self, node: ir.Node, inputs: LayerInputs, finished: FinishedLayers | None) -> None:
        planned, weight = self.by_node[node]
        dense = weight.tensor.numpy()
        repairs = self._allowed(node, weight)
        done = None if finished is None else finished.get(weight.name, dense)
        if done is None:
            done = self._solved(planned, weight, inputs, repairs)
            done = done if finished is None else finished.put(weight.name, dense, done)
        replace_constant(weight.value, done.weight)
        error = done.error
        if Repair.BATCH_NORM in repairs:
            error = Matched.of(weight).match(inputs.outputs(node), self._names)
        elif Repair.BIAS in repairs:
            shift_bias(node, output_scale(node) * done.shift, self._names)
        zeros = done.weight.size - int(np.count_nonzero(weight.real_values()))
        self.layers.append(PrunedLayer(weight.name, zeros, done.weight.size, error))

    def _solved(
        self, planned: WeightPlan, weight: LinearWeight, inputs: LayerInputs, repairs: Collection[Repair]
    ) -> FinishedLayer:
        drifts, moments = inputs.drifts(weight) if Repair.DRIFT in repairs else None, inputs.moments(weight)
        given, kept = weight.real_values(), None if self._kept is None else self._kept(weight)
        found = solve(planned, given, moments, repairs, drifts, self._refinement, kept)
        stored = weight.zeroed(found.keep)
        array = stored if weight.quantization is not None else found.weight.astype(stored.dtype)
        return FinishedLayer(array, found.shift, found.error)

    def _allowed(self, node: ir.Node, weight: LinearWeight) -> frozenset[Repair]:
        """The repairs that a layer takes; where those of biases are among them, it has a bias then, if of zeros."""
        if _ON_BIASES.isdisjoint(self.repairs):
            return self.repairs
        if weight.uses[0].index != 1 or not can_shift(node, weight.shape[weight.axes.output], self._names):
            reason = f"{describe(node)} has no bias of float32 that could be shifted"
            self.skips.append(Skip("GP319", weight.name, reason))
            return self.repairs - _ON_BIASES
        if Repair.BATCH_NORM in self.repairs and node.domain:
            self.skips.append(Skip("GP588", weight.name, f"{describe(node)} gives what lies behind its activation"))
            return self.repairs - {Repair.BATCH_NORM}
        return self.repairs

    def reconstruct(
        self,
        blocks: ModuleType,
        feeds: Sequence[Feed],
        memory: int,
        finished: FinishedLayers | None,
        on_layer: Callable[[int], None] | None,
    ) -> None:
        """Train blocks, which count as layers that are done once more."""
        counted = None if on_layer is None else lambda done: on_layer(len(self.layers) + done)
        with work_folder() as folder:
            models = self._dense, self.model, self.by_node
            self.skips += blocks.reconstruct(*models, feeds, folder, memory, finished, counted)

    def result(self, samples: int) -> PruneResult:
        """What came of it.

        Raises:
            UnsupportedModelError: The model has a form that pruned models do not have.
        """
        set_stage(self.model, Stage.SPARSE)
        verify_stage(self.model)
        return PruneResult(self.model, tuple(self.layers), tuple(self.skips), samples)
