"""How far results lie from the reference, in numbers that tell what ties of rounding do from what an error does."""

from __future__ import annotations

import math
from dataclasses import asdict, astuple, dataclass

import numpy as np


@dataclass(frozen=True)
class Spread:
    """Errors of one output; all numbers are in its own unit.

    Attributes:
        rms: The root of the mean square.
        largest: The largest.
        offset: The mean, which random ties keep small, and a wrong bias or zero point does not.
        gain: The slope of the errors over the reference's values about their mean, times the root of the mean square of
            these: what a wrong scale moves.
    """

    rms: float = 0.0
    largest: float = 0.0
    offset: float = 0.0
    gain: float = 0.0

    @classmethod
    def of(cls, expected: np.ndarray, actual: np.ndarray) -> Spread:
        """Measure the elements that are finite on both sides; two arrays of one shape and of numbers."""
        right, given = expected.astype(np.float64), actual.astype(np.float64)
        finite = np.isfinite(right) & np.isfinite(given)
        right, error = right[finite], given[finite] - right[finite]
        if not error.size:
            return cls()
        about_mean = right - right.mean()
        power = float(about_mean @ about_mean)
        return cls(
            rms=_rms(error),
            largest=float(np.abs(error).max()),
            offset=float(abs(error.mean())),
            gain=float(abs(error @ about_mean)) / power * _rms(right) if power else 0.0,
        )

    @classmethod
    def of_choices(cls, expected: np.ndarray, actual: np.ndarray) -> Spread:
        """Measure indices, booleans and the like: an element that differs is an error of one, whatever it is."""
        return cls.of(np.zeros(expected.shape), expected != actual)

    def and_(self, other: Spread) -> Spread:
        """Return the larger of each number."""
        return Spread(*map(max, astuple(self), astuple(other)))

    def is_within(self, other: Spread, factor: float, slack: float) -> bool:
        """Whether no number is beyond `factor` times the other's and `slack`."""
        return all(one <= factor * most + slack for one, most in zip(astuple(self), astuple(other), strict=True))


@dataclass(frozen=True)
class Ties:
    """That an output was held to ties of rounding, and how.

    Attributes:
        found: Errors of the candidate.
        explained: The largest errors of runs of the reference in which sums differ as another order makes them.
        runs: How many there were.
        levels: The largest error in levels, of an output that was rounded to them.
    """

    found: Spread
    explained: Spread
    runs: int
    levels: float | None

    @property
    def share(self) -> float:
        """How much of what is explained was found, in the number that has the least room."""
        return self._tightest()[0]

    def __str__(self) -> str:
        """What was found and what is explained of that number."""
        _, name, found, explained = self._tightest()
        levels = "" if self.levels is None else f", levels up to {self.levels:.3g}"
        return f"{name} error {found:.3g}{levels}; ties explain {explained:.3g} (runs: {self.runs})"

    def _tightest(self) -> tuple[float, str, float, float]:
        pairs = zip(asdict(self.found).items(), astuple(self.explained), strict=True)
        return max((_ratio(found, explained), name, found, explained) for (name, found), explained in pairs)


def _ratio(found: float, explained: float) -> float:
    return found / explained if explained else math.inf if found else 0.0


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
