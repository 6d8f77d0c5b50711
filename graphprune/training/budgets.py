"""How a recipe shares its zeros out over the weights as they are now."""

from __future__ import annotations

import math
import warnings

import onnx_ir as ir

from graphprune.planning.planner import plan
from graphprune.planning.pruning_plan import WeightPlan
from graphprune.planning.recipe import Recipe

_LEAST = 1e-9  # of a weight: one element, so that no training stops because the last one would go
_FEW = 0.01  # a weight that keeps a smaller share is warned of
_NAMED = 5  # weights, in a warning


def budgets(model: ir.Model, recipe: Recipe) -> dict[str, float]:
    """Return the share of zeros of each planned weight, or of each group of channels.

    Where the scope is global, every weight keeps the recipe's `min_kept`, and one element at least; a weight that keeps
    less than a hundredth is warned of.

    Raises:
        RecipeError: As `graphprune.plan` does.
    """
    made = plan(model, recipe.model_copy(update={"min_kept": recipe.min_kept or _LEAST}))
    if is_global(recipe):
        _warn_of([entry for entry in made.weights if 1 - entry.sparsity < min(_FEW, recipe.min_kept or _FEW)])
    return {entry.name: entry.sparsity for entry in made.weights} | {
        entry.group: entry.sparsity for entry in made.channels
    }


def is_global(recipe: Recipe) -> bool:
    """Return whether some of the shares depend on the values of the weights."""
    return "global" in {recipe.scope, *(rule.scope for rule in recipe.rules)}


def _warn_of(few: list[WeightPlan]) -> None:
    if few:
        named = ", ".join(f"'{each.name}' keeps {math.prod(each.shape) - each.pruned}" for each in few[:_NAMED])
        what = f"one threshold for all leaves {len(few)} weights next to nothing"
        more = ", ..." if len(few) > _NAMED else ""
        warnings.warn(f"{what}: {named}{more}; a floor is min_kept in the recipe", stacklevel=1)
