"""The worst difference of each output over the cases so far, and whether any value was compared at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from graphprune.verification.comparison import Difference, Tolerance, compare
from graphprune.verification.report import OutputReport

_NOTHING_COMPARED = "is zero, NaN or empty in every case, so nothing was compared"


class Tally:
    """Collects cases; see the module."""

    def __init__(self, names: Sequence[str], tolerance: Tolerance) -> None:
        self._tolerance = tolerance
        self._worst = {name: Difference() for name in names}
        self._first: dict[str, np.ndarray] = {}
        self._varies = dict.fromkeys(names, False)
        self._says_something = dict.fromkeys(names, False)

    def add(self, expected: Sequence[np.ndarray], actual: Sequence[np.ndarray]) -> bool:
        """Add one case; whether it passed."""
        passed = True
        for name, right, given in zip(self._worst, expected, actual, strict=True):
            difference = compare(right, given, self._tolerance)
            self._worst[name] = _worse(self._worst[name], difference)
            self._observe(name, right)
            passed = passed and difference.reason is None
        return passed

    def _observe(self, name: str, array: np.ndarray) -> None:
        first = self._first.setdefault(name, array.ravel()[:1])
        if array.dtype == object:
            self._says_something[name] |= array.size > 0
            self._varies[name] |= bool(np.any(array.ravel() != first))
            return
        self._says_something[name] |= bool(np.any(np.isfinite(array) & (array != 0)))
        self._varies[name] |= bool(np.any(array.ravel() != first)) if array.size else False

    def finish(self) -> tuple[tuple[OutputReport, ...], tuple[str, ...]]:
        """The reports; nothing counts as passed if every output was zero, NaN or empty in all cases."""
        if not any(self._says_something.values()):
            self._worst = {name: _vacuous(worst) for name, worst in self._worst.items()}
        constant = [name for name, varies in self._varies.items() if not varies]
        warnings = tuple(
            f"output {name!r} is constant over all cases, so its agreement says little" for name in constant
        )
        return tuple(OutputReport(name, worst) for name, worst in self._worst.items()), warnings


def _vacuous(difference: Difference) -> Difference:
    return difference if difference.reason else replace(difference, reason=_NOTHING_COMPARED)


def _worse(one: Difference, other: Difference) -> Difference:
    return Difference(
        max_abs_error=max(one.max_abs_error, other.max_abs_error),
        max_rel_error=max(one.max_rel_error, other.max_rel_error),
        max_abs_reference=max(one.max_abs_reference, other.max_abs_reference),
        mismatches=one.mismatches + other.mismatches,
        reason=one.reason or other.reason,
    )
