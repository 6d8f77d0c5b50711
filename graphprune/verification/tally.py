"""The worst difference of each output over the cases so far, and whether any value was compared at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from graphprune.verification.comparison import Difference, Tolerance, compare
from graphprune.verification.computed import Computed
from graphprune.verification.report import OutputReport
from graphprune.verification.rounding_ties import HoldToTies

IsTie = Callable[[str, np.ndarray, np.ndarray], bool]
"""Whether the indices in an output, expected and actual, are of equally good scores."""

_NOTHING_COMPARED = "is zero, NaN, empty or lost in rounding in every case, so nothing was compared"
_CONSTANT = "is constant over all cases, so nothing was compared"
_TIED = "picks others of equally good scores than the reference"
_ROUNDED = "differs by no more than ties of rounding to integers explain"


class Tally:
    """Collects cases; see the module.

    Args:
        names: Of the outputs.
        tolerance: Which errors pass.
        computed: How the reference computes its outputs, as far as is known.
    """

    def __init__(
        self, names: Sequence[str], tolerance: Tolerance, computed: Mapping[str, Computed] | None = None
    ) -> None:
        self._tolerance = tolerance
        self._computed = computed or {}
        self._worst = {name: Difference() for name in names}
        self._first: dict[str, np.ndarray] = {}
        self._varies = dict.fromkeys(names, False)
        self._tied: set[str] = set()
        self._cases = 0

    def add(
        self,
        expected: Sequence[np.ndarray],
        actual: Sequence[np.ndarray],
        is_tie: IsTie | None = None,
        hold_to_ties: HoldToTies | None = None,
    ) -> bool:
        """Add one case; whether it passed."""
        self._cases += 1
        passed = True
        for name, right, given in zip(self._worst, expected, actual, strict=True):
            difference = compare(right, given, self._tolerance, self._computed.get(name, Computed()))
            if difference.reason and is_tie and is_tie(name, right, given):
                self._tied.add(name)
                difference = replace(difference, mismatches=0, reason=None)
            elif difference.reason and hold_to_ties:
                difference = hold_to_ties(name, right, given, difference)
            self._worst[name] = _worse(self._worst[name], difference)
            self._varies[name] |= _differs(right, self._first.setdefault(name, right))
            passed = passed and difference.reason is None
        return passed

    def finish(self) -> tuple[tuple[OutputReport, ...], tuple[str, ...]]:
        """The reports; nothing counts as passed if no output had a value to compare in any case."""
        if not any(worst.compared for worst in self._worst.values()):
            self._worst = {name: _vacuous(worst) for name, worst in self._worst.items()}
        reports = tuple(OutputReport(name, worst, self._is_constant(name)) for name, worst in self._worst.items())
        return reports, tuple(f"output {name!r} {text}" for name in self._worst for text in self._warnings(name))

    def _is_constant(self, name: str) -> bool:
        """Whether an output is the same in every case; in a single one, whether all its elements are."""
        first = self._first[name]
        return not (self._varies[name] or (self._cases == 1 and _differs(first, first.ravel()[:1])))

    def _warnings(self, name: str) -> Iterator[str]:
        worst = self._worst[name]
        if name in self._tied:
            yield _TIED
        if worst.ties and not worst.reason:
            yield f"{_ROUNDED}: {worst.ties}"
        if not worst.reason and not worst.compared:
            yield _NOTHING_COMPARED
        elif self._is_constant(name):
            yield _CONSTANT


def _differs(array: np.ndarray, other: np.ndarray) -> bool:
    """Whether values differ; arrays of two shapes by whether `array` has another value than the first of `other`."""
    return bool(np.any(array != (other if array.shape == other.shape else other.ravel()[:1])))


def _vacuous(difference: Difference) -> Difference:
    return difference if difference.reason else replace(difference, reason=_NOTHING_COMPARED)


def _worse(one: Difference, other: Difference) -> Difference:
    spreads = [each.max_spread_error for each in (one, other) if each.max_spread_error is not None]
    return Difference(
        max_abs_error=max(one.max_abs_error, other.max_abs_error),
        max_rel_error=max(one.max_rel_error, other.max_rel_error),
        max_spread_error=max(spreads, default=None),
        max_abs_reference=max(one.max_abs_reference, other.max_abs_reference),
        mismatches=one.mismatches + other.mismatches,
        compared=one.compared + other.compared,
        reason=one.reason or other.reason,
        ties=max((each.ties for each in (one, other) if each.ties), key=lambda ties: ties.share, default=None),
    )
