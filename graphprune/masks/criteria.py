"""Criteria: what a single weight is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from graphprune.errors import RecipeError
from graphprune.masks.selection import Scores


class Criterion(Protocol):
    """Scores weights: the lowest go first. Scores of different tensors are compared where the scope is global."""

    @property
    def name(self) -> str:
        """Its text form, read by `parse_criterion`."""

    def score(self, name: str, weight: npt.NDArray[Any]) -> Scores:
        """Return finite float32 scores of the shape of `weight`, the floating tensor called `name`.

        Raises:
            RecipeError: The weight cannot be scored.
        """


@dataclass(frozen=True)
class Magnitude:
    """The absolute value, in float32."""

    name: ClassVar[str] = "magnitude"

    def score(self, name: str, weight: npt.NDArray[Any]) -> Scores:
        """Return absolute values.

        Raises:
            RecipeError: The weight holds NaN or an infinity (GP323).
        """
        scores: Scores = np.abs(weight.astype(np.float32, copy=False))
        if not np.isfinite(scores.max(initial=0)):
            raise RecipeError(f"weight '{name}' holds NaN or an infinity and cannot be ranked", code="GP323")
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
