"""The temperature of a soft mask: how wide the band of undecided weights is."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from graphprune.errors import RecipeError

_RELATIVE = "t2"
_FORM = re.compile(r"(?P<value>[0-9.]+(?:e[+-]?[0-9]+)?)(?P<relative>t2)?")


@dataclass(frozen=True)
class Temperature:
    """The tau of `sigmoid((score² - threshold²) / tau)`.

    Attributes:
        value: Positive. In units of the squared weight; or, if relative, in units of the squared threshold.
        relative: Whether tau follows the threshold of each layer, so that the mask does not depend on the scale of the
            weights. Its text form ends in `t2`: `0.1t2`.
    """

    value: float = 1e-4
    relative: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and self.value > 0):
            raise RecipeError(f"temperature is {self.value}, expected a positive number", code="GP328")

    def __str__(self) -> str:
        return f"{self.value:g}{_RELATIVE if self.relative else ''}"


def parse_temperature(text: str) -> Temperature:
    """Return the temperature whose text form is `text`: `1e-4`, or `0.1t2` for a tenth of the squared threshold.

    Raises:
        RecipeError: It is neither, or not positive (GP328).
    """
    found = _FORM.fullmatch(text.strip())
    try:
        value = float(found["value"]) if found else math.nan
    except ValueError:
        value = math.nan
    if found is None or math.isnan(value):
        message = (
            f"temperature is '{text}', expected a number such as 1e-4, or 0.1t2 for a tenth of the squared threshold"
        )
        raise RecipeError(message, code="GP328")
    return Temperature(value, relative=found["relative"] is not None)
