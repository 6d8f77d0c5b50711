"""Settings of mask training: method, temperature and schedule. Data only, so that a recipe can hold them."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from graphprune.errors import RecipeError
from graphprune.masks.temperature import Temperature, parse_temperature
from graphprune.planning.documents import Document

COLD = "0"
"""The final temperature at which masks are hard."""

TemperatureText = Annotated[str, AfterValidator(lambda text: str(parse_temperature(text)))]

FinalTemperatureText = Annotated[
    str, AfterValidator(lambda text: COLD if text == COLD else str(parse_temperature(text)))
]


class Schedule(Document):
    """When pruning starts and how fast it gets to its target, in calls of `Pruner.step`.

    Attributes:
        start: How many calls the network trains dense; or `validation`: until the metric given to `step` has stayed
            above half of the best one for `patience` calls.
        patience: See `start`.
        length: How many calls the ramp takes from the first mask to the full one; with a constant ramp, how many the
            temperature takes to fall.
        epsilon: Instead of `length`, what the ramp gains with each call: the paper's epsilon, 0.015.
        ramp: `constant`, the full mask from the start; `linear`, the paper's; or `cubic`, 1 - (1 - x)³, which gradual
            magnitude pruning takes where none is given.
    """

    start: Annotated[int, Field(ge=0)] | Literal["validation"] = 0
    patience: int = Field(default=5, ge=1)
    length: int | None = Field(default=None, ge=1)
    epsilon: float | None = Field(default=None, gt=0, le=1)
    ramp: Literal["linear", "cubic", "constant"] = "constant"

    @model_validator(mode="after")
    def _check_length(self) -> Self:
        given = [name for name in ("length", "epsilon") if getattr(self, name) is not None]
        if len(given) > 1 or (not given and self.ramp != "constant"):
            found = " and ".join(given) or "none"
            raise RecipeError(f"schedule: a {self.ramp} ramp takes length or epsilon, got {found}", code="GP701")
        return self

    @property
    def has_length(self) -> bool:
        """Whether it says how long the ramp takes."""
        return self.length is not None or self.epsilon is not None

    @property
    def steps(self) -> int:
        """How many calls the ramp takes; 1 where none is given."""
        if self.epsilon is not None:
            return math.ceil(1 / self.epsilon)
        return self.length or 1

    def ratio(self, since_start: int) -> float:
        """Return how much of the target is asked for, in [0, 1], `since_start` calls after the dense phase."""
        progress = self.progress(since_start)
        if self.ramp == "constant":
            return float(progress > 0)
        return _cubic(progress) if self.ramp == "cubic" else progress

    def progress(self, since_start: int) -> float:
        """Return how far the ramp is in time, in [0, 1]; the temperature falls along it."""
        return min(1.0, max(0, since_start + 1) / self.steps)


class TrainingSettings(Document):
    """How masks are trained; what is not said is what `docs/accuracy.md` found best.

    Attributes:
        method: `pdp`, or a baseline: `gmp`, `str`, `sr-ste`, `one-shot`.
        temperature: Of the soft mask: `1e-4`, or `0.1t2` for a tenth of the squared threshold.
        final_temperature: What it falls to along the ramp, fast first: as a cubic ramp does. Of the same kind; or `0`:
            from the ramp's end masks are hard, and the weights that stay are tuned behind them. If it is not given, it
            is `0` where the schedule has a length, and else the temperature.
        threshold: `exact`, or `sampled`: estimated from a sample of each large weight.
        schedule: When pruning starts, and how fast it goes.
    """

    method: Literal["pdp", "gmp", "str", "sr-ste", "one-shot"] = "pdp"
    temperature: TemperatureText = str(Temperature(1, relative=True))
    final_temperature: FinalTemperatureText | None = None
    threshold: Literal["exact", "sampled"] = "exact"
    schedule: Schedule = Schedule(ramp="constant")

    @model_validator(mode="after")
    def _choose_ramp(self) -> Self:
        schedule = self.schedule
        if self.method == "gmp" and schedule.has_length and "ramp" not in schedule.model_fields_set:
            object.__setattr__(self, "schedule", schedule.model_copy(update={"ramp": "cubic"}))
        return self

    @model_validator(mode="after")
    def _check_temperatures(self) -> Self:
        first, last = parse_temperature(self.temperature), self._final()
        if last is not None and first.relative != last.relative:
            message = f"temperature goes from {first} to {last}, expected both absolute or both relative"
            raise RecipeError(message, code="GP704")
        return self

    def temperature_at(self, progress: float) -> Temperature | None:
        """Return the temperature where the ramp is at `progress` in time, in [0, 1]; None where masks are hard."""
        first, last, relative = self.cooling
        value = first + (last - first) * _cubic(progress)
        return Temperature(value, relative) if value > 0 else None

    @property
    def cooling(self) -> tuple[float, float, bool]:
        """The value of the temperature at the start of the ramp, at its end (0 for hard masks), and of its kind."""
        first, last = parse_temperature(self.temperature), self._final()
        return first.value, 0.0 if last is None else last.value, first.relative

    def _final(self) -> Temperature | None:
        cools = self.final_temperature is None and self.schedule.has_length
        if cools or self.final_temperature == COLD:
            return None
        return parse_temperature(self.final_temperature or self.temperature)


def _cubic(progress: float) -> float:
    return float(1 - (1 - progress) ** 3)
