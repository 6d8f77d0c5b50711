"""Pruning by what layers multiply on samples, layer by layer, from the first to the last."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx_ir as ir

from graphprune.analysis.constants import replace_constant
from graphprune.analysis.weights import LinearWeight
from graphprune.backends.base import tensor_infos
from graphprune.calibration.finished import FinishedLayer, FinishedLayers, digest
from graphprune.calibration.inputs import LayerInputs
from graphprune.calibration.layer import Repair, needs_products, solve
from graphprune.calibration.matching import Matched, can_shift, moved
from graphprune.calibration.ranges import Feed
from graphprune.calibration.samples import SAMPLES, check_varied, take
from graphprune.calibration.streaming.activations import MEMORY
from graphprune.calibration.streaming.columns import why_no_columns
from graphprune.diagnostics import Skip
from graphprune.errors import InputError, PreconditionError, RecipeError, torch_is_missing
from graphprune.files import work_folder
from graphprune.graph.arguments import check_model
from graphprune.graph.nodes import describe
from graphprune.masks.patterns import parse_pattern
from graphprune.masks.refinement import Refinement, why_not_refined
from graphprune.passes.base import clone_apart
from graphprune.passes.fresh_names import FreshNames
from graphprune.passes.product_bias import output_scale, shift_bias
from graphprune.passes.prune_weights import PruneWeights
from graphprune.passes.shape_inference import infer_shapes
from graphprune.planning.pruning_plan import PruningPlan, WeightPlan
from graphprune.stages.stage import Stage, get_stage, set_stage
from graphprune.stages.verification import verify_stage

_LOG = logging.getLogger("graphprune")

_ON_BIASES = frozenset({Repair.BIAS, Repair.BATCH_NORM})
_BY_DENSE = frozenset({Repair.DRIFT, Repair.BATCH_NORM})
"""What goes by samples behind dense layers."""


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


def prune(  # noqa: PLR0913 - one argument an option
    model: ir.Model,
    plan: PruningPlan,
    samples: Iterable[Mapping[str, np.ndarray]],
    *,
    repair: Collection[str] = (),
    refine: str | None = None,
    most_samples: int = SAMPLES,
    memory: int = MEMORY,
    resume_in: Path | None = None,
    on_layer: Callable[[int], None] | None = None,
) -> PruneResult:
    """Prune the weights of a plan by what they multiply on samples; `model` stays untouched.

    Samples go through the model once. They stop in front of each layer, which is pruned by what it multiplies then,
    behind layers that are pruned already.

    Args:
        model: Dense or pruned.
        plan: Of weights, for this model.
        samples: Arrays by input name, one sample at a time or several stacked along the first axis.
        repair: What is done to the weights that stay, see `Repair`.
        refine: What is done to the masks before, see `Refinement`.
        most_samples: How many samples are looked at.
        memory: Bytes of activations that are held in memory; more of them lie in a temporary folder.
        resume_in: A folder for finished layers: a run that was killed goes on behind them. It is not removed.
        on_layer: Called with the number of weights that are done; one counts twice when its block is trained.

    Raises:
        GraphPruneError: Blocks are to be trained, and there is no torch (GP122).
        InputError: Of samples that do not fit (GP512 to GP515, GP567 to GP569) or never vary (GP577), NaN in what a
            layer multiplies (GP581), singular moments (GP582), a full disk (GP584), a folder of another run (GP585), an
            unknown repair (GP586) or refinement (GP590), damping without drift (GP596), too few samples for blocks
            (GP595).
        PreconditionError: The model is masked or packed (GP255).
        RecipeError: The plan is for another model (GP324), or of channels (GP587); a weight holds NaN (GP323), or has a
            pattern whose masks are not refined (GP591).
    """
    check_model("prune", model)
    repairs, refinement = _known(repair), _refinement(refine, plan)
    if (stage := get_stage(model)) not in PruneWeights.consumes:
        raise PreconditionError(f"prune: the model is {stage}, expected dense or sparse", code="GP255")
    blocks = reconstruction() if Repair.BLOCKS in repairs else None
    feeds = take(samples, tensor_infos(model.graph.inputs), most_samples)
    check_varied(feeds)
    fitted = feeds if blocks is None else blocks.part(feeds)[0]
    pruner = _Pruner(model, plan, repairs, refinement)
    finished = None if resume_in is None else FinishedLayers(resume_in, _run(plan, repairs, refinement, feeds))
    with work_folder() as folder:
        asked = {"products": pruner.needs_products, "dense": not repairs.isdisjoint(_BY_DENSE)}
        inputs = LayerInputs(pruner.model, [*pruner.by_node, *pruner.moved], fitted, folder, memory, **asked)
        for nodes in inputs.stops():
            for node in nodes:
                pruner.visit(node, inputs, finished)
                if on_layer:
                    on_layer(len(pruner.layers))
    if blocks is not None:
        pruner.reconstruct(blocks, feeds, memory, finished, on_layer)
    return pruner.result(len(feeds))


def _known(repair: Collection[str]) -> frozenset[Repair]:
    for name in repair:
        if name not in set(Repair):
            raise InputError(f"repair is '{name}', expected some of {', '.join(Repair)}", code="GP586")
    if Repair.DAMPING in repair and Repair.DRIFT not in repair:
        raise InputError("repair 'damping' is of what makes up for drift, give 'drift' too", code="GP596")
    return frozenset(map(Repair, repair))


def reconstruction() -> ModuleType:
    """Return the module that trains blocks.

    Raises:
        GraphPruneError: There is no torch (GP122).
    """
    try:
        return importlib.import_module("graphprune.calibration.reconstruction.reconstruct")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise torch_is_missing(error) from error


def _refinement(name: str | None, plan: PruningPlan) -> Refinement | None:
    if name is None:
        return None
    if name not in set(Refinement):
        raise InputError(f"refine is '{name}', expected {' or '.join(Refinement)}", code="GP590")
    for weight in plan.weights:
        if (reason := why_not_refined(parse_pattern(weight.pattern))) is not None:
            raise RecipeError(f"weight '{weight.name}' cannot be refined by {name}: it {reason}", code="GP591")
    return Refinement(name)


def _run(
    plan: PruningPlan, repairs: Collection[Repair], refinement: Refinement | None, feeds: Sequence[Feed]
) -> dict[str, Any]:
    """What a run is known by."""
    arrays = (feed[name] for feed in feeds for name in sorted(feed))
    done = {"repairs": sorted(repairs), "refinement": refinement}
    return {"plan": plan.model_dump(mode="json"), **done, "samples": digest(arrays)}


class _Pruner:
    """A clone of a model, of which layer after layer is pruned."""

    def __init__(
        self, model: ir.Model, plan: PruningPlan, repairs: frozenset[Repair], refinement: Refinement | None
    ) -> None:
        """Take the weights of a plan; those that samples say nothing of are left alone, with a warning.

        Raises:
            RecipeError: GP324, GP326, GP587.
        """
        if plan.channels:
            raise RecipeError("prune: the plan is of channels, which samples do not choose", code="GP587")
        self.model, self.repairs, self._refinement = clone_apart(model), repairs, refinement
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
            done = _solved(planned, weight, inputs, repairs, self._refinement)
            done = done if finished is None else finished.put(weight.name, dense, done)
        replace_constant(weight.value, done.weight)
        error = done.error
        if Repair.BATCH_NORM in repairs:
            error = Matched.of(weight).match(inputs.outputs(node), self._names)
        elif Repair.BIAS in repairs:
            shift_bias(node, output_scale(node) * done.shift, self._names)
        zeros = done.weight.size - int(np.count_nonzero(weight.real_values()))
        self.layers.append(PrunedLayer(weight.name, zeros, done.weight.size, error))

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


def _solved(
    planned: WeightPlan,
    weight: LinearWeight,
    inputs: LayerInputs,
    repairs: Collection[Repair],
    refinement: Refinement | None,
) -> FinishedLayer:
    drifts = inputs.drifts(weight) if Repair.DRIFT in repairs else None
    found = solve(planned, weight.real_values(), inputs.moments(weight), repairs, drifts, refinement)
    stored = weight.zeroed(found.keep)
    array = stored if weight.quantization is not None else found.weight.astype(stored.dtype)
    return FinishedLayer(array, found.shift, found.error)
