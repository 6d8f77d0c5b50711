"""Put masks on the weights of a live module, as a plan for its exported graph says."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import onnx_ir as ir
from torch import nn

from graphprune.analysis.weights import prunable_weights
from graphprune.errors import RecipeError
from graphprune.frontends.torch_module import exported
from graphprune.graph.arguments import wrong_type
from graphprune.masks.criteria import Magnitude, parse_criterion
from graphprune.masks.patterns import Unstructured, parse_pattern
from graphprune.planning.planner import plan as make_plan
from graphprune.planning.pruning_plan import PruningPlan, WeightPlan
from graphprune.planning.recipe import Recipe, check_recipe
from graphprune.planning.training_settings import TrainingSettings
from graphprune.training.budgets import budgets
from graphprune.training.channel_sites import channel_sites
from graphprune.training.methods import METHODS, ChannelMask, ParameterMask
from graphprune.training.planned_graph import without_quantizers
from graphprune.training.pruner import Pruner
from graphprune.training.sites import Site, follow, owners_of

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_NAMED = 5  # layers, in a warning


def prepare(
    module: nn.Module,
    example_inputs: Sequence[object],
    recipe: Recipe,
    *,
    example_kwargs: Mapping[str, object] | None = None,
    plan: PruningPlan | None = None,
) -> Pruner:
    """Put a mask on every weight that is to be pruned, or on all that carries channels; `module` is changed in place.

    The module is exported once and planned as a file would be, so weights keep their names and patterns see them as the
    graph does. Optimizers made before or after train the same parameters. What quantizes weights in the module comes
    after their masks.

    Args:
        module: Trained by the caller, as usual.
        example_inputs: Positional inputs of one call.
        example_kwargs: Keyword inputs of that call.
        recipe: What is pruned, and, in its `training` section, how.
        plan: Instead of the one that the recipe makes of the current weights.

    What stays dense is in the pruner's `left` and its reports; layers whose weight is computed are warned of besides.

    Returns:
        What drives the masks: call its `step` after every epoch, or after every step of the optimizer.

    Raises:
        InputError: An argument is of another type (GP536).
        RecipeError: The recipe or the plan does not fit (GP321 to GP329), a weight is no parameter of the module or has
            a parametrization already (GP702), or the method is no method for a pattern (GP703).
        UnsupportedModelError: The module cannot be exported (GP121).
    """
    _check_arguments(module, recipe, plan)
    if any(isinstance(child, ParameterMask) for child in module.modules()):
        raise RecipeError(f"{type(module).__name__}: was prepared before; finalize its pruner first", code="GP702")
    settings = recipe.training or TrainingSettings()
    model = exported(module, example_inputs, example_kwargs, widened=True)
    without_quantizers(model)
    chosen = plan or make_plan(model, _by_layer(recipe))
    if plan is None and settings.schedule.start != 0:
        budgets(model, recipe)  # what is wrong with them now is said now, not after the dense phase
    sites, groups = _sites(module, model, chosen, settings)
    _warn_of_computed(module)
    for site in sites:
        site.register()
    follow(model, sites)
    planned = {site.name for site in sites}
    skips = () if recipe.of_channels else prunable_weights(model)[1]
    left = tuple(skip for skip in skips if skip.node not in planned)
    return Pruner(module, tuple(sites), groups, model, recipe, settings, fixed=plan is not None, left=left)


def _check_arguments(module: object, recipe: object, plan: object) -> None:
    if not isinstance(module, nn.Module):
        hint = "a file becomes one by graphprune.to_torch(graphprune.load(path))"
        raise wrong_type("prepare", "module", module, "a torch.nn.Module", hint)
    check_recipe("prepare", recipe)
    if not (plan is None or isinstance(plan, PruningPlan)):
        raise wrong_type("prepare", "plan", plan, "a graphprune.PruningPlan", "read it with PruningPlan.load(path)")


def _sites(
    module: nn.Module, model: ir.Model, plan: PruningPlan, settings: TrainingSettings
) -> tuple[list[Site], tuple[ChannelMask, ...]]:
    for entry, _ in plan.resolve(model):
        if uneven := parse_pattern(entry.pattern).uneven(entry.shape, entry.axes):
            message = f"weight '{entry.name}' cannot be masked in training: it has {uneven}"
            raise RecipeError(message, code="GP329")
        if unknown := _untrained(entry):
            raise RecipeError(f"weight '{entry.name}' cannot be masked in training: its {unknown}", code="GP334")
    weights = [
        Site(entry.name, owners_of(module, entry.name), METHODS[settings.method](entry, settings))
        for entry in plan.weights
    ]
    carriers, groups = channel_sites(module, model, plan, settings)
    return [*weights, *carriers], groups


def _untrained(entry: WeightPlan) -> str | None:
    """What of a plan has no mask that could be trained."""
    if parse_pattern(entry.pattern) == Unstructured(per_row=True):
        return f"pattern is '{entry.pattern}', expected '{Unstructured()}'"
    if parse_criterion(entry.criterion).needs_samples:
        return f"criterion is '{entry.criterion}', expected '{Magnitude.name}'"
    return None


def _by_layer(recipe: Recipe) -> Recipe:
    """The same choice of weights; shares over layers together are computed when the ramp starts."""
    rules = tuple(rule.model_copy(update={"scope": "layer"}) for rule in recipe.rules)
    channels = recipe.channels.model_copy(update={"share_of": "channels"})
    return recipe.model_copy(update={"scope": "layer", "rules": rules, "channels": channels})


def _warn_of_computed(module: nn.Module) -> None:
    """Say which layers stay dense because their weight is the result of a computation, not a parameter."""
    layers = (nn.Linear, *_CONVOLUTIONS)
    found = [
        name
        for name, child in module.named_modules()
        if isinstance(child, layers) and "weight" not in child._parameters  # noqa: SLF001 - attributes show both alike
    ]
    if found:
        names = ", ".join(f"'{name}'" for name in found[:_NAMED]) + (", ..." if len(found) > _NAMED else "")
        what = "their weight is computed (weight_norm, spectral_norm, torch.nn.utils.prune, another parametrization)"
        warnings.warn(f"{len(found)} layers stay dense, {what}: {names}", UserWarning, stacklevel=1)
