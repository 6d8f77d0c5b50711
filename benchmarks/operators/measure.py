"""One case on both sides: our outputs checked, then runs in turns that are bounded by time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import graphprune as gp
from benchmarks.operators.case import Array, Case
from graphprune.backends.onnxruntime import session_for
from graphprune.errors import GraphPruneError
from graphprune.measuring.environment import pinned
from graphprune_runtime.interface import Session

OURS, THEIRS = "graphprune", "ONNX Runtime"
_MOST_SECONDS = 0.5
"""For which the slower side is timed."""
_FEWEST_RUNS, _MOST_RUNS = 3, 100

TOLERANCE = 1e-2
"""Of the largest element: what half precision and a step of 8 bits may differ by."""


@dataclass(frozen=True)
class Row:
    """Median times of a case, and how far apart the outputs are, in shares of the largest element.

    `reason` says why there is nothing to compare: a side that refuses the case, or outputs of other shapes or types.
    """

    case: Case
    ours_ms: float | None = None
    theirs_ms: float | None = None
    error: float = 0.0
    reason: str = ""

    @property
    def ratio(self) -> float | None:
        """Our time over ONNX Runtime's."""
        return None if self.ours_ms is None or self.theirs_ms is None else self.ours_ms / self.theirs_ms

    @property
    def is_wrong(self) -> bool:
        """Whether the outputs differ by more than rounding."""
        return not self.error <= TOLERANCE


def measure(case: Case, threads: int = 1) -> Row:
    """Compile the case for both sides, compare our outputs with exact ones, and time them in turns."""
    model, feed = case.model(), case.feed()
    sides: dict[str, Session] = {}
    with pinned(threads):
        for label, backend in ((OURS, "tvm"), (THEIRS, "onnxruntime")):
            try:
                sides[label] = gp.compile(model, backend=backend, threads=threads)
                sides[label].run(None, feed)
            except GraphPruneError as refusal:
                return Row(case, reason=f"{label}: {refusal}")
    seconds = {label: _seconds(session, feed) for label, session in sides.items()}
    oracle = session_for(model, optimize=False)  # where optimised kernels of integers saturate, they are no measure
    error = difference(sides[OURS].run(None, feed), oracle.run(None, feed))
    runs = int(np.clip(_MOST_SECONDS / max(seconds.values()), _FEWEST_RUNS, _MOST_RUNS))
    report = gp.bench(sides, feed, threads=threads, runs=runs, warmup=min(runs, 5))
    ours, theirs = (timing.median_ms for timing in report.timings)
    return Row(case, ours, theirs, error)


def _seconds(session: Session, feed: dict[str, Array]) -> float:
    start = time.perf_counter()
    session.run(None, feed)
    return time.perf_counter() - start


def difference(ours: Sequence[Array], theirs: Sequence[Array]) -> float:
    """The largest difference of any output over its largest element; infinite where shapes, types or NaN differ."""
    return max(map(_difference, ours, theirs), default=0.0)


def _difference(ours: Array, theirs: Array) -> float:
    if (ours.shape, ours.dtype) != (theirs.shape, theirs.dtype):
        return float("inf")
    a, b = (np.asarray(array, np.float64) for array in (ours, theirs))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return 0.0
    largest = np.max(np.abs(b), where=np.isfinite(b), initial=1e-30)
    apart = np.abs(a - b)[~same].max() / largest
    return float(apart) if np.isfinite(apart) else float("inf")
