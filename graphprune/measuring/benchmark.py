"""Benchmarks of sessions: alternating runs on one input, medians, and the environment of the measurement."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from graphprune.errors import InputError
from graphprune.measuring.environment import Environment, pinned, read_environment
from graphprune_runtime.interface import Session, check_feed


@dataclass(frozen=True)
class Timing:
    """One session's times in milliseconds, of which so many percent were shorter; `speedup` is by the medians."""

    label: str
    median_ms: float
    p10_ms: float
    p90_ms: float
    p99_ms: float
    speedup: float


@dataclass(frozen=True)
class BenchReport:
    """Times of all sessions of one run, and how they were taken."""

    timings: tuple[Timing, ...]
    baseline: str
    threads: int
    runs: int
    warmup: int
    inputs: dict[str, str]
    environment: Environment

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, ready for JSON."""
        return asdict(self)


def bench(
    sides: Mapping[str, Session],
    feed: Mapping[str, np.ndarray],
    threads: int = 1,
    runs: int | None = None,
    warmup: int = 5,
    *,
    baseline: str | None = None,
    on_round: Callable[[int], None] | None = None,
) -> BenchReport:
    """Time `sides` on `feed`, taking turns, so that a drift of the machine hits all of them.

    Args:
        sides: sessions by label, each made for `threads` threads, best inside `pinned(threads)`.
        feed: what every session is run on.
        threads: processors to stay on.
        runs: timed runs of each session; by default as many as take the fastest a second, but at least 30, and from
            then on no longer than ten seconds of the slowest.
        warmup: runs of each session before those.
        baseline: the label that speed-ups are relative to, the last one by default.
        on_round: called with the number of rounds done after each, warm-ups included.

    Raises:
        InputError: there is nothing to time, an option is out of range, or a session does not take `feed`.
    """
    baseline = _check(sides, feed, runs, warmup, baseline)
    times: dict[str, list[float]] = {label: [] for label in sides}
    with pinned(threads):
        for turn in itertools.count():
            if turn >= warmup and _are_enough(times.values(), runs):
                break
            for label in _order(list(sides), turn):
                seconds = _time(sides[label], feed)
                if turn >= warmup:
                    times[label].append(1e3 * seconds)
            if on_round:
                on_round(turn + 1)
    base = float(np.median(times[baseline]))
    return BenchReport(
        timings=tuple(_timing(label, times[label], base) for label in sides),
        baseline=baseline,
        threads=threads,
        runs=len(times[baseline]),
        warmup=warmup,
        inputs={name: f"{array.dtype}{list(array.shape)}" for name, array in feed.items()},
        environment=read_environment(),
    )


FEWEST_RUNS = 30
FASTEST_MS = 1e3
SLOWEST_MS = 1e4


def _are_enough(times: Iterable[Sequence[float]], runs: int | None) -> bool:
    """Whether so many runs were made of each session, or as many as the default asks for."""
    sides = list(times)
    if runs is not None or len(sides[0]) < FEWEST_RUNS:
        return len(sides[0]) == runs
    totals = [sum(side) for side in sides]
    return min(totals) >= FASTEST_MS or max(totals) >= SLOWEST_MS


def _check(
    sides: Mapping[str, Session], feed: Mapping[str, np.ndarray], runs: int | None, warmup: int, baseline: str | None
) -> str:
    if not sides:
        raise InputError("there is no session to time", code="GP571")
    if (runs is not None and runs < 1) or warmup < 0:
        raise InputError(f"runs is {runs} and warmup {warmup}, expected at least 1 and 0", code="GP572")
    if baseline is not None and baseline not in sides:
        raise InputError(f"unknown baseline {baseline!r}, expected one of {', '.join(sides)}", code="GP573")
    for label, session in sides.items():
        try:
            check_feed(session.get_inputs(), feed)
        except InputError as error:
            raise InputError(f"{label} does not take the common input: {error.message}", code=error.code) from error
    return baseline or list(sides)[-1]


def _order(labels: list[str], turn: int) -> list[str]:
    """Every other round backwards, so that nobody always runs on the caches of the same neighbour."""
    return labels if turn % 2 == 0 else labels[::-1]


def _time(session: Session, feed: Mapping[str, np.ndarray]) -> float:
    start = time.perf_counter()
    session.run(None, feed)
    return time.perf_counter() - start


def _timing(label: str, times: list[float], base: float) -> Timing:
    low, median, high, highest = (float(value) for value in np.percentile(times, [10, 50, 90, 99]))
    return Timing(label, median, low, high, highest, base / median)
