"""What a user asks for: how much worse a file may be, or how long it may take."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from graphprune.errors import InputError
from graphprune.reporting.report import CandidateReport

MAX_DROP = 0.01
"""What the metric may lose where nothing is asked for."""


@dataclass(frozen=True)
class Bounds:
    """One of two bounds.

    Attributes:
        max_drop: What the metric may lose against the dense model; None where the time is bounded.
        most_ms: What a run may take; None where the metric is bounded.
    """

    max_drop: float | None
    most_ms: float | None

    @classmethod
    def of(cls, max_drop: float | None, most_ms: float | None) -> Bounds:
        """Check what was asked for.

        Raises:
            InputError: Both are given, or one is out of range (GP647).
        """
        if max_drop is not None and most_ms is not None:
            raise InputError("a largest drop and a longest time are given, expected one of them", code="GP647")
        given = max_drop if most_ms is None else most_ms
        if given is not None and not 0 <= given < math.inf:
            raise InputError(f"the bound is {given}, expected a number of at least 0", code="GP647")
        return cls(MAX_DROP if max_drop is None and most_ms is None else max_drop, most_ms)

    def least_quality(self, dense: float) -> float | None:
        """Return what a candidate must reach."""
        return None if self.max_drop is None else dense - self.max_drop

    def best(self, dense: CandidateReport, candidates: Iterable[CandidateReport]) -> tuple[CandidateReport | None, str]:
        """Return which of them is recommended, and why; None where none is within the bound, and how near one came."""
        everything = (dense, *candidates)
        if self.most_ms is not None:
            return _best_in_time(everything, self.most_ms)
        least = self.least_quality(dense.quality)
        assert least is not None, "one of the bounds is given"
        found = min((each for each in everything if each.quality >= least), key=lambda each: each.median_ms)
        limit = f"at most {self.max_drop:g} below the dense model's {dense.quality:.4g}"
        if found is dense:
            others = [each for each in everything if each is not dense]
            nearest = max((each.quality for each in others), default=None)
            came = "" if nearest is None else f"; the best of the others has {nearest:.4g}"
            return None, f"no faster file is {limit}{came}"
        return found, f"it is the fastest one whose quality, {found.quality:.4g}, is {limit}"


def _best_in_time(everything: Iterable[CandidateReport], most_ms: float) -> tuple[CandidateReport | None, str]:
    found = list(everything)
    within = [each for each in found if each.median_ms <= most_ms]
    if not within:
        nearest = min(found, key=lambda each: each.median_ms)
        return None, f"none takes at most {most_ms:g} ms; the fastest, {nearest.name}, takes {nearest.median_ms:.3g} ms"
    best = max(within, key=lambda each: (each.quality, -each.median_ms))
    return best, f"it is the best one that takes at most {most_ms:g} ms: {best.median_ms:.3g} ms"
