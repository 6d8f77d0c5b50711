"""The shares of zeros that a layer is tried at."""

from __future__ import annotations

import math

from graphprune.errors import RecipeError
from graphprune.masks.patterns import NM, parse_pattern
from graphprune.planning.pruning_plan import PruningPlan, WeightPlan

LEVELS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Of patterns that take any share."""

ANY_SHARE = 0.5
"""Of a plan whose shares are chosen later."""


def levels_of(plan: PruningPlan) -> tuple[float, ...]:
    """Return the shares of zeros that the weights of a plan may have, from none to the most.

    Raises:
        RecipeError: Its weights have several patterns (GP640).
    """
    patterns = {each.pattern for each in plan.weights}
    if len(patterns) != 1:
        named = ", ".join(f"'{pattern}'" for pattern in sorted(patterns)) or "none"
        raise RecipeError(f"zeros are shared out over weights of one pattern, the plan has {named}", code="GP640")
    pattern = parse_pattern(patterns.pop())
    return (0.0, pattern.sparsity) if isinstance(pattern, NM) else LEVELS


def at_level(planned: WeightPlan, level: float) -> WeightPlan | None:
    """Return the entry with this share of zeros; None where the weight is left as it is.

    That is without zeros, and where blocks are so large that all of it would go.
    """
    pattern = parse_pattern(planned.pattern)
    if level == 0:
        return None
    if isinstance(pattern, NM):
        return planned
    found = WeightPlan(**{**planned.model_dump(exclude={"pruned"}), "sparsity": level})
    return None if found.pruned == math.prod(found.shape) else found
