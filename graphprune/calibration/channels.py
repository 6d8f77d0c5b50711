"""Pruning whole channels by how much they vary on samples; biases take their means.

An et al. 2024, "Fluctuation-based Adaptive Structured Pruning for Large Language Models" (FLAP).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphprune.analysis.channels import ChannelGroup
from graphprune.analysis.channels.values import constant_values
from graphprune.analysis.weights import LinearWeight, linear_weights
from graphprune.backends.base import tensor_infos
from graphprune.calibration.consumers import Consumer, group_fluctuations, observe, pruned_inputs
from graphprune.calibration.inputs import LayerInputs
from graphprune.calibration.pruner import PruneResult
from graphprune.calibration.ranges import Feed
from graphprune.calibration.samples import SAMPLES, check_varied, take
from graphprune.calibration.streaming.activations import MEMORY
from graphprune.calibration.streaming.columns import why_no_columns
from graphprune.diagnostics import Skip
from graphprune.errors import PreconditionError, RecipeError
from graphprune.files import work_folder
from graphprune.graph.arguments import check_model
from graphprune.graph.nodes import describe
from graphprune.masks.channel_criteria import FLAP
from graphprune.passes.base import clone_apart, run_pass
from graphprune.passes.fresh_names import FreshNames
from graphprune.passes.product_bias import add_bias, output_scale
from graphprune.passes.prune_channels import PruneChannels
from graphprune.passes.shape_inference import infer_shapes
from graphprune.planning.channels.names import NamedGroups
from graphprune.planning.channels.plan import resolve_channels
from graphprune.planning.channels.planner import plan_channels, prunable_groups
from graphprune.planning.pruning_plan import PruningPlan, fingerprint
from graphprune.planning.recipe import Recipe, check_recipe
from graphprune.stages.stage import get_stage


@dataclass(frozen=True)
class ChannelPruneResult(PruneResult):
    """What came of it; `layers` is empty, as their errors are not measured.

    Attributes:
        plan: Which channels of each group went.
    """

    plan: PruningPlan


def prune_channels(
    model: ir.Model,
    recipe: Recipe,
    samples: Iterable[Mapping[str, np.ndarray]],
    *,
    most_samples: int = SAMPLES,
    memory: int = MEMORY,
    on_layer: Callable[[int], None] | None = None,
) -> ChannelPruneResult:
    """Set the channels to zero that vary least in what layers make of them on samples; `model` stays untouched.

    What the mean of a layer's output loses goes into its bias; a MatMul without one gets an Add. The pass
    `fold-channels` takes the zero channels out of the result.

    Args:
        model: Dense or pruned, of known shapes where channels pass.
        recipe: Of the pattern `channel`, with the criterion `flap`.
        samples: Arrays by input name, one sample at a time or several stacked along the first axis.
        most_samples: How many samples are looked at.
        memory: Bytes of activations that are held in memory; more of them lie in a temporary folder.
        on_layer: Called with the number of layers that samples have been in front of.

    Raises:
        InputError: Of samples that do not fit (GP512 to GP515, GP567 to GP569) or never vary (GP577), NaN in what a
            layer multiplies (GP581), a full disk (GP584); `model` or `recipe` is of another type (GP536).
        PreconditionError: The model is masked or packed (GP255).
        RecipeError: The recipe is of another criterion (GP592), or as `plan_channels`.
    """
    check_model("prune_channels", model)
    check_recipe("prune_channels", recipe)
    if not recipe.of_channels or recipe.channels.criterion != FLAP:
        criterion = recipe.channels.criterion if recipe.of_channels else recipe.criterion
        message = f"prune_channels: the pattern is '{recipe.pattern}' and the criterion '{criterion}'"
        raise RecipeError(f"{message}, expected 'channel' and '{FLAP}'", code="GP592")
    if (stage := get_stage(model)) not in PruneChannels.consumes:
        raise PreconditionError(f"prune_channels: the model is {stage}, expected dense or sparse", code="GP255")
    feeds = take(samples, tensor_infos(model.graph.inputs), most_samples)
    check_varied(feeds)
    return _pruned(clone_apart(model), recipe, feeds, memory, on_layer)


def _pruned(
    model: ir.Model, recipe: Recipe, feeds: Sequence[Feed], memory: int, on_layer: Callable[[int], None] | None
) -> ChannelPruneResult:
    """Observe, plan, shift biases, and zero; biases of channels that go are zeroed with them."""
    model.graph.sort()
    infer_shapes(model)
    groups, skips = _observable(model, recipe)
    consumers = _observed(model, groups, feeds, memory, on_layer)
    fluctuations = {group.name: group_fluctuations(group, consumers) for group in groups}
    planned = plan_channels(model, recipe, fluctuations)
    plan = PruningPlan(model=fingerprint(linear_weights(model)[0]), channels=planned)
    gone = _gone_inputs(model, plan)
    skips += _shifted(model, [consumers[name] for name in consumers if name in gone], gone)
    result = run_pass(PruneChannels(plan=plan), model)
    return ChannelPruneResult(result.model, (), (*skips, *result.skips), len(feeds), plan)


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
) -> dict[str, Consumer]:
    readers = {each.name for group in groups for each in group.readers}
    weights = [weight for weight in linear_weights(model)[0] if weight.name in readers]
    with work_folder() as folder:
        nodes = [weight.node for weight in weights]
        inputs = LayerInputs(model, nodes, feeds, folder, memory, products=False, dense=False)
        return observe(weights, inputs, on_layer)


def _gone_inputs(model: ir.Model, plan: PruningPlan) -> dict[str, list[int]]:
    """Which inputs of each weight become zero, by its name."""
    found: dict[str, list[int]] = {}
    for planned, group in resolve_channels(plan.channels, model):
        for each in group.readers if planned.channels else ():
            found.setdefault(each.name, []).extend(pruned_inputs(each, planned.channels or ()))
    return found


def _shifted(model: ir.Model, consumers: Collection[Consumer], gone: Mapping[str, Sequence[int]]) -> list[Skip]:
    """Let biases take what outputs lose; return where there is none."""
    names, skips = FreshNames(model), []
    for each in consumers:
        weight, node = each.weight, each.weight.node
        is_float = node.outputs[0].dtype == ir.DataType.FLOAT and weight.uses[0].index == 1
        amounts = output_scale(node) * each.lost(np.array(gone[weight.name]))
        if not is_float or not add_bias(node, amounts, names):
            reason = f"{describe(node)} has no bias of float32 that could be shifted"
            skips.append(Skip("GP319", weight.name, reason))
    return skips
