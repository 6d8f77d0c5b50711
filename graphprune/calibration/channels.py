"""Pruning whole channels by how much they vary on samples; biases take their means.

An et al. 2024, "Fluctuation-based Adaptive Structured Pruning for Large Language Models" (FLAP).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from graphprune.analysis.channels import ChannelGroup
from graphprune.analysis.channels.values import constant_values
from graphprune.analysis.weights import LinearWeight, linear_weights
from graphprune.backends.base import tensor_infos
from graphprune.calibration.finished import FinishedLayers
from graphprune.calibration.fluctuations import group_fluctuations, observe
from graphprune.calibration.inputs import LayerInputs, Wanted
from graphprune.calibration.moments import Floats
from graphprune.calibration.pruner import Pruner, PruneResult
from graphprune.calibration.ranges import Feed
from graphprune.calibration.readers import KeptInputs, give_biases, plan_layers
from graphprune.calibration.repair import Repair, known_repairs
from graphprune.calibration.samples import SAMPLES, check_varied, take
from graphprune.calibration.streaming.activations import MEMORY
from graphprune.calibration.streaming.columns import why_no_columns
from graphprune.calibration.visiting import run_key, visit_layers
from graphprune.diagnostics import Skip
from graphprune.errors import PreconditionError, RecipeError
from graphprune.files import work_folder
from graphprune.graph.arguments import check_model
from graphprune.masks.channel_criteria import FLAP
from graphprune.passes.base import clone_apart, run_pass
from graphprune.passes.prune_channels import PruneChannels
from graphprune.passes.shape_inference import infer_shapes
from graphprune.planning.channels.names import NamedGroups
from graphprune.planning.channels.planner import plan_channels, prunable_groups
from graphprune.planning.pruning_plan import PruningPlan, fingerprint
from graphprune.planning.recipe import Recipe, check_recipe
from graphprune.stages.stage import get_stage


@dataclass(frozen=True)
class ChannelPruneResult(PruneResult):
    """What came of it; `layers` are those that read channels that went, and others that were repaired.

    Attributes:
        plan: Which channels of each group went.
    """

    plan: PruningPlan


def prune_channels(  # noqa: PLR0913 - one argument an option
    model: ir.Model,
    recipe: Recipe,
    samples: Iterable[Mapping[str, np.ndarray]],
    *,
    repair: Collection[str] = (),
    most_samples: int = SAMPLES,
    memory: int = MEMORY,
    resume_in: Path | None = None,
    on_layer: Callable[[int], None] | None = None,
) -> ChannelPruneResult:
    """Set the channels to zero that vary least in what layers make of them on samples; `model` stays untouched.

    Layers that read them are repaired, those behind too where drift is made up for. What the mean of a layer's output
    loses always goes into its bias; a MatMul without one gets an Add. The pass `fold-channels` takes the zero channels
    out of the result.

    Args:
        model: Dense or pruned, of known shapes where channels pass.
        recipe: Of the pattern `channel`, with the criterion `flap`.
        samples: Arrays by input name, one sample at a time or several stacked along the first axis.
        repair: What is done to the weights that stay beside `bias`, see `Repair`.
        most_samples: How many samples are looked at.
        memory: Bytes of activations that are held in memory; more of them lie in a temporary folder.
        resume_in: A folder for repaired layers: a run that was killed goes on behind them. It is not removed.
        on_layer: Called with the number of layers that samples have been in front of; layers that are repaired count
            once more.

    Raises:
        GraphPruneError: Blocks are to be trained, and there is no torch (GP122).
        InputError: Of samples and repairs, as `graphprune.prune`; `model` or `recipe` is of another type (GP536).
        PreconditionError: The model is masked or packed (GP255).
        RecipeError: The recipe is of another criterion (GP592), or as `plan_channels`.
    """
    check_model("prune_channels", model)
    check_recipe("prune_channels", recipe)
    repairs = known_repairs([Repair.BIAS, *repair])
    if not recipe.of_channels or recipe.channels.criterion != FLAP:
        criterion = recipe.channels.criterion if recipe.of_channels else recipe.criterion
        message = f"prune_channels: the pattern is '{recipe.pattern}' and the criterion '{criterion}'"
        raise RecipeError(f"{message}, expected 'channel' and '{FLAP}'", code="GP592")
    if (stage := get_stage(model)) not in PruneChannels.consumes:
        raise PreconditionError(f"prune_channels: the model is {stage}, expected dense or sparse", code="GP255")
    feeds = take(samples, tensor_infos(model.graph.inputs), most_samples)
    check_varied(feeds)
    return _pruned(clone_apart(model), recipe, repairs, feeds, memory, resume_in, on_layer)


def _pruned(
    model: ir.Model,
    recipe: Recipe,
    repairs: frozenset[Repair],
    feeds: Sequence[Feed],
    memory: int,
    resume_in: Path | None,
    on_layer: Callable[[int], None] | None,
) -> ChannelPruneResult:
    """Observe, plan, let the layers that read channels do without, then zero these wherever they are made."""
    model.graph.sort()
    infer_shapes(model)
    groups, skips = _observable(model, recipe)
    fluctuations = _observed(model, groups, feeds, memory, on_layer)
    worth = {group.name: group_fluctuations(group, fluctuations) for group in groups}
    plan = PruningPlan(model=fingerprint(linear_weights(model)[0]), channels=plan_channels(model, recipe, worth))
    kept = KeptInputs.of(model, plan, fluctuations)
    if not kept.gone:
        return _zeroed(PruneResult(model, (), tuple(skips), len(feeds)), plan)
    give_biases(model, kept.gone)
    layers = plan_layers(model, kept, everything=Repair.DRIFT in repairs)
    finished = None if resume_in is None else FinishedLayers(resume_in, run_key(_both(plan, layers), repairs, feeds))
    counted = None if on_layer is None else lambda done: on_layer(len(fluctuations) + done)
    found = visit_layers(Pruner(model, layers, repairs, kept=kept.mask), feeds, memory, finished, counted)
    return _zeroed(replace(found, skips=(*skips, *found.skips)), plan)


def _both(channels: PruningPlan, layers: PruningPlan) -> PruningPlan:
    return channels.model_copy(update={"weights": layers.weights})


def _zeroed(found: PruneResult, plan: PruningPlan) -> ChannelPruneResult:
    """Set channels that no layer reads any more to zero."""
    result = run_pass(PruneChannels(plan=plan), found.model)
    return ChannelPruneResult(result.model, found.layers, (*found.skips, *result.skips), found.samples, plan)


def _observable(model: ir.Model, recipe: Recipe) -> tuple[list[ChannelGroup], list[Skip]]:
    """The groups that the recipe chooses, and why samples say nothing of some.

    Raises:
        RecipeError: GP321, GP326.
    """
    groups, blocked = prunable_groups(model)
    named = NamedGroups(groups, constant_values(model))
    named.verify(recipe, blocked)
    chosen = [group for group in groups if named.is_chosen(recipe, group)]
    weights = {weight.name: weight for weight in linear_weights(model)[0]}
    reasons = {group.name: _why_unseen(group, weights, model.graph) for group in chosen}
    skips = [Skip("GP593", name, reason) for name, reason in reasons.items() if reason is not None]
    if chosen and len(skips) == len(chosen):
        raise RecipeError(f"nothing to prune: {skips[0]}", code="GP326")
    return [group for group in chosen if reasons[group.name] is None], skips


def _why_unseen(group: ChannelGroup, weights: Mapping[str, LinearWeight], graph: ir.Graph) -> str | None:
    """Why samples do not show what all layers make of the channels of a group."""
    if not group.readers:
        return "no layer multiplies its channels by a weight"
    for each in group.readers:
        weight = weights.get(each.name)
        if weight is None:
            return f"its channels are read by '{each.name}', which is no weight of a layer there"
        if (refusal := why_no_columns(weight, graph)) is not None:
            return f"its channels are read by '{each.name}', which {refusal[1]} [{refusal[0]}]"
    return None


def _observed(
    model: ir.Model,
    groups: Sequence[ChannelGroup],
    feeds: Sequence[Feed],
    memory: int,
    on_layer: Callable[[int], None] | None,
) -> dict[str, Floats]:
    readers = {each.name for group in groups for each in group.readers}
    weights = [weight for weight in linear_weights(model)[0] if weight.name in readers]
    with work_folder() as folder:
        nodes = [weight.node for weight in weights]
        inputs = LayerInputs(model, nodes, feeds, folder, memory, Wanted())
        return observe(weights, inputs, on_layer)
