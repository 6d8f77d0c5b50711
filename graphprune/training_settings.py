"""How masks are trained: the method, its temperature and its schedule. Data only, so that a recipe can hold it."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from graphprune.documents import Document
from graphprune.errors import RecipeError
from graphprune.masks.temperature import Temperature, parse_temperature

TemperatureText = Annotated[str, AfterValidator(lambda text: str(parse_temperature(text)))]


class Schedule(Document):
    """When pruning starts and how fast it gets to its target, in calls of `Pruner.step`.

    Attributes:
        start: How many calls the network trains dense; or `validation`: until the metric given to `step` has stayed
            above half of the best one for `patience` calls.
        patience: See `start`.
        length: How many calls the ramp takes from the first mask to the full one.
        epsilon: Instead of `length`, what the ramp gains with each call: the paper's epsilon, 0.015.
        ramp: `linear`, the paper's; `cubic`, 1 - (1 - x)³ as in gradual magnitude pruning; or `constant`, the full mask
            from the start.
    """

    start: Annotated[int, Field(ge=0)] | Literal["validation"] = 0
    patience: int = Field(default=5, ge=1)
    length: int | None = Field(default=None, ge=1)
    epsilon: float | None = Field(default=None, gt=0, le=1)
    ramp: Literal["linear", "cubic", "constant"] = "linear"

    @model_validator(mode="after")
    def _check_length(self) -> Self:
        given = [name for name in ("length", "epsilon") if getattr(self, name) is not None]
        expected = 0 if self.ramp == "constant" else 1
        if len(given) != expected:
            wanted = "neither length nor epsilon" if expected == 0 else "length or epsilon"
            found = " and ".join(given) or "none"
            raise RecipeError(f"schedule: a {self.ramp} ramp takes {wanted}, got {found}", code="GP701")
        return self

    @property
    def steps(self) -> int:
        """How many calls the ramp takes; 1 where it is constant."""
        if self.epsilon is not None:
            return math.ceil(1 / self.epsilon)
        return self.length or 1

    def ratio(self, since_start: int) -> float:
        """Return how much of the target is asked for, in [0, 1], `since_start` calls after the dense phase."""
        if since_start < 0:
            return 0.0
        share = min(1.0, (since_start + 1) / self.steps)
        return 1 - (1 - share) ** 3 if self.ramp == "cubic" else share


class TrainingSettings(Document):
    """How masks are trained.

    Attributes:
        method: `pdp`, or a baseline: `gmp`, `str`, `sr-ste`, `one-shot`.
        temperature: Of the soft mask: `1e-4`, or `0.1t2` for a tenth of the squared threshold.
        final_temperature: What it falls to along the ramp, geometrically, where that is another; of the same kind.
        threshold: `exact`, or `sampled`: estimated from a sample of each large weight.
        schedule: When pruning starts, and how fast it goes.
    """

    method: Literal["pdp", "gmp", "str", "sr-ste", "one-shot"] = "pdp"
    temperature: TemperatureText = str(Temperature())
    final_temperature: TemperatureText | None = None
    threshold: Literal["exact", "sampled"] = "exact"
    schedule: Schedule = Schedule(ramp="constant")

    @model_validator(mode="after")
    def _check_temperatures(self) -> Self:
        first, last = (
            parse_temperature(text) for text in (self.temperature, self.final_temperature or self.temperature)
        )
        if first.relative != last.relative:
            message = f"temperature goes from {first} to {last}, expected both absolute or both relative"
            raise RecipeError(message, code="GP704")
        return self

    def temperature_at(self, ratio: float) -> Temperature:
        """Return the temperature where the ramp stands at `ratio`, in [0, 1]."""
        first, last = (
            parse_temperature(text) for text in (self.temperature, self.final_temperature or self.temperature)
        )
        return Temperature(first.value ** (1 - ratio) * last.value**ratio, first.relative)
