"""Which candidates of a family are made: those that a bound asks for, or some for a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from graphprune.optimization.bounds import Bounds
from graphprune.reporting.report import CandidateReport

_TRIES = 4


@dataclass(frozen=True)
class Ladder:
    """Shares of a model that may be taken away.

    Attributes:
        first: The one that is tried first.
        step: By how much the second differs from it.
        least: The smallest that is tried.
        most: The largest.
    """

    first: float
    step: float
    least: float
    most: float


def toward(
    bounds: Bounds,
    dense: CandidateReport,
    ladder: Ladder,
    at_share: Callable[[float], CandidateReport | None],
    within: Callable[[float], CandidateReport],
) -> Iterator[CandidateReport]:
    """Yield candidates on the way to a bound.

    Args:
        bounds: What is asked for.
        dense: What the quality is compared with.
        ladder: Shares that may be taken away.
        at_share: See `climb`.
        within: See `descend`.
    """
    least = bounds.least_quality(dense.quality)
    if bounds.most_ms is not None:
        yield from descend(within, bounds.most_ms)
    elif least is not None:
        yield from climb(at_share, least, ladder)


def climb(
    make: Callable[[float], CandidateReport | None], least_quality: float, ladder: Ladder
) -> Iterator[CandidateReport]:
    """Yield candidates on the way to the fastest one of a quality, by halving.

    Args:
        make: Returns the candidate of a share; None where that is no faster than the dense model.
        least_quality: What it has to reach.
        ladder: The shares.
    """
    share, step = ladder.first, ladder.step
    for _ in range(_TRIES):
        found = make(round(share, 2))
        if found is not None:
            yield found
        is_good = found is None or found.quality >= least_quality
        share = min(ladder.most, max(ladder.least, share + (step if is_good else -step)))
        step /= 2


def descend(make: Callable[[float], CandidateReport], most_ms: float) -> Iterator[CandidateReport]:
    """Yield candidates on the way to one that takes at most so long; what a measurement is off by is taken off.

    Args:
        make: Returns the best candidate that is expected to take so many milliseconds.
        most_ms: What it may take.
    """
    asked = most_ms
    for _ in range(_TRIES):
        found = make(asked)
        yield found
        if found.median_ms <= most_ms:
            return
        asked *= most_ms / found.median_ms
