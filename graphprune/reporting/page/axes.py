"""Axes of pictures: where a value lies, and which round numbers are written beside."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from graphprune.reporting.page.numbers import fixed, significant

LARGE_SPREAD = 5.0
"""From this ratio of the largest value to the smallest on, an axis of positive values is logarithmic."""

_PAD = 0.1
_ALONE = 0.05
"""How far, as a share of the value, an axis goes to both sides where all values are the same."""

_STEPS = (1, 2, 5, 10)
_LOG_STEPS: tuple[tuple[int, ...], ...] = ((1, 2, 3, 4, 5, 6, 8), (1, 2, 5), (1,))
_DIGITS = 9


@dataclass(frozen=True)
class Axis:
    """A stretch of values on a stretch of a picture.

    Attributes:
        low: The value at `start`, its power of ten where the axis is logarithmic.
        high: That at `end`.
        start: Where the axis begins in the picture.
        end: Where it ends.
        is_log: Whether places go by powers of ten.
    """

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    @classmethod
    def fit(cls, values: Sequence[float], start: float, end: float, *, may_be_log: bool = False) -> Axis:
        """The axis that all `values` lie on, with a little room on both sides."""
        is_log = may_be_log and min(values) > 0 and max(values) / min(values) >= LARGE_SPREAD
        low, high = _room(
            *((math.log10(min(values)), math.log10(max(values))) if is_log else (min(values), max(values)))
        )
        return cls(low, high, start, end, is_log)

    def place(self, value: float) -> float:
        """Where `value` lies in the picture."""
        shown = math.log10(value) if self.is_log else value
        return self.start + (shown - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, most: int = 8) -> list[tuple[float, str]]:
        """The places of at most `most` round numbers on the axis, and how they are written."""
        found = list(_powers(self.low, self.high, most) if self.is_log else _multiples(self.low, self.high, most))
        return [(self.place(value), text) for value, text in found]


def _room(low: float, high: float) -> tuple[float, float]:
    largest = max(abs(low), abs(high))
    are_equal = high - low <= largest * 10**-_DIGITS
    pad = (largest * _ALONE or 1.0) if are_equal else _PAD * (high - low)
    return low - pad, high + pad


def _multiples(low: float, high: float, most: int) -> Iterator[tuple[float, str]]:
    """Round numbers in even steps of 1, 2 or 5 times a power of ten."""
    power = math.floor(math.log10((high - low) / most))
    step = next(step for step in _STEPS if high - low <= most * step * 10.0**power) * 10.0**power
    places = max(0, -math.floor(math.log10(step) + 10**-_DIGITS))
    for count in range(math.ceil(low / step), math.floor(high / step) + 1):
        yield count * step, fixed(count * step, places)


def _powers(low: float, high: float, most: int) -> Iterator[tuple[float, str]]:
    """1 to 8 times each power of ten, or fewer of them, or only every second power, and so on."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    values: list[float] = []
    for steps, stride in (*((steps, 1) for steps in _LOG_STEPS), ((1,), math.ceil(len(powers) / most))):
        values = [step * 10.0**power for power in powers if power % stride == 0 for step in steps]
        values = [value for value in values if value and low <= math.log10(value) <= high]
        if len(values) <= most:
            break
    return ((value, significant(value, 1)) for value in values)
