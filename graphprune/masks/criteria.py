"""Criteria: scores of the elements of a weight. Those with the lowest scores are pruned first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from graphprune.errors import RecipeError
from graphprune.masks.selection import Scores


class WeightValues(NamedTuple):
    """What a criterion may look at: a floating weight and what it is called in messages.

    A criterion that needs more than the weight (norms of its inputs, gradients) adds a field here, which those fill in
    that score: `graphprune.planning.planner` and `graphprune.passes.prune_weights`.
    """

    name: str
    values: npt.NDArray[Any]


class Criterion(Protocol):
    """Scores weights: the lowest go first. Scores of different tensors are compared where the scope is global."""

    @property
    def name(self) -> str:
        """Its text form, read by `parse_criterion`."""

    def score(self, weight: WeightValues) -> Scores:
        """Return finite float32 scores of the shape of the weight.

        Raises:
            RecipeError: The weight cannot be scored.
        """


@dataclass(frozen=True)
class Magnitude:
    """The absolute value, in float32."""

    name: ClassVar[str] = "magnitude"

    def score(self, weight: WeightValues) -> Scores:
        """Return absolute values.

        Raises:
            RecipeError: The weight holds NaN or an infinity (GP323).
        """
        scores: Scores = np.abs(weight.values.astype(np.float32, copy=False))
        if not np.isfinite(scores.max(initial=0)):
            raise RecipeError(f"weight '{weight.name}' holds NaN or an infinity and cannot be ranked", code="GP323")
        return scores


CRITERIA: dict[str, Criterion] = {Magnitude.name: Magnitude()}
"""By the name that recipes and plans give."""


def parse_criterion(text: str) -> Criterion:
    """Return the criterion called `text`.

    Raises:
        RecipeError: There is none (GP327).
    """
    if text not in CRITERIA:
        expected = " or ".join(f"'{name}'" for name in CRITERIA)
        raise RecipeError(f"unknown criterion '{text}', expected {expected}", code="GP327")
    return CRITERIA[text]
