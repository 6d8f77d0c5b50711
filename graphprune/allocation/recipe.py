"""A plan as a recipe that a user can read, edit and give to the command line."""

from __future__ import annotations

from graphprune.planning.pruning_plan import PruningPlan
from graphprune.planning.recipe import Recipe, Rule


def as_recipe(plan: PruningPlan) -> Recipe:
    """Return the recipe that makes a plan of one pattern and one criterion again: a rule for each share of zeros."""
    shares = sorted({each.sparsity for each in plan.weights})
    by_share = {share: tuple(each.name for each in plan.weights if each.sparsity == share) for share in shares}
    first = plan.weights[0]
    rules = tuple(Rule(targets=names, sparsity=share) for share, names in by_share.items())
    return Recipe(pattern=first.pattern, criterion=first.criterion, rules=rules)
