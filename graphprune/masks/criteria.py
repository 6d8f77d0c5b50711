"""Criteria: scores of the elements of a weight. Those with the lowest scores are pruned first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from graphprune.errors import RecipeError
from graphprune.masks.selection import Scores


class WeightValues(NamedTuple):
    """What a criterion may look at.

    Attributes:
        name: What the weight is called in messages.
        values: The floating weight.
        input_scale: How much each input counts, to broadcast to `values`; None where no samples are looked at.
    """

    name: str
    values: npt.NDArray[Any]
    input_scale: npt.NDArray[Any] | None = None


class Criterion(Protocol):
    """Scores weights: the lowest go first. Scores of different tensors are compared where the scope is global."""

    @property
    def name(self) -> str:
        """Its text form, read by `parse_criterion`."""

    @property
    def needs_samples(self) -> bool:
        """Whether it goes by what the weight multiplies on samples."""

    @property
    def scope(self) -> str:
        """Over what a share of zeros is counted where a recipe does not say."""

    def score(self, weight: WeightValues) -> Scores:
        """Return finite float32 scores of the shape of the weight.

        Raises:
            RecipeError: The weight cannot be scored.
        """


@dataclass(frozen=True)
class Magnitude:
    """The absolute value, in float32."""

    name: ClassVar[str] = "magnitude"
    needs_samples: ClassVar[bool] = False
    scope: ClassVar[str] = "layer"

    def score(self, weight: WeightValues) -> Scores:
        """Return absolute values.

        Raises:
            RecipeError: The weight holds NaN or an infinity (GP323).
        """
        scores: Scores = np.abs(weight.values.astype(np.float32, copy=False))
        if not np.isfinite(scores.max(initial=0)):
            raise RecipeError(f"weight '{weight.name}' holds NaN or an infinity and cannot be ranked", code="GP323")
        return scores


@dataclass(frozen=True)
class ByInputs:
    """The absolute value times how much the input counts that it multiplies, in float32.

    Attributes:
        name: Says how that is measured: `wanda`, by the norm of the input (Sun et al. 2023, "A Simple and Effective
            Pruning Approach for Large Language Models", equation 1), compared within each output; or `sparsegpt`, by
            the inverse second moments of all inputs (see `graphprune.masks.second_order`), with the weights that stay
            taking the place of those that go.
        scope: See `Criterion`.
    """

    name: str
    scope: str
    needs_samples: ClassVar[bool] = True

    def score(self, weight: WeightValues) -> Scores:
        """Return scaled absolute values.

        Raises:
            RecipeError: The weight holds NaN or an infinity (GP323), or there are no samples (GP306).
        """
        if weight.input_scale is None:
            message = f"criterion '{self.name}' needs samples for weight '{weight.name}': give --calibration DATA"
            raise RecipeError(f"{message}, or call graphprune.prune(model, plan, samples)", code="GP306")
        scores: Scores = Magnitude().score(weight) * weight.input_scale.astype(np.float32, copy=False)
        return scores


WANDA, SPARSEGPT = ByInputs("wanda", "row"), ByInputs("sparsegpt", "layer")

CRITERIA: dict[str, Criterion] = {each.name: each for each in (Magnitude(), WANDA, SPARSEGPT)}
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
