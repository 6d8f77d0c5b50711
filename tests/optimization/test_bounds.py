"""What is recommended within a bound."""

from __future__ import annotations

import math

import pytest

from graphprune.errors import InputError
from graphprune.optimization.bounds import Bounds
from graphprune.reporting.report import CandidateReport


def candidate(name: str, quality: float, ms: float) -> CandidateReport:
    return CandidateReport(name=name, model=name, model_bytes=1, quality=quality, median_ms=ms, p90_ms=ms)


DENSE = candidate("dense", 0.9, 10.0)
CANDIDATES = [
    candidate("a", 0.895, 6.0),
    candidate("b", 0.88, 4.0),
    candidate("c", 0.5, 1.0),
    candidate("d", 0.93, 7.0),
]


def named(bounds: Bounds) -> str | None:
    found, _ = bounds.best(DENSE, CANDIDATES)
    return None if found is None else found.name


@pytest.mark.parametrize(
    ("drop", "expected"), [(None, "a"), (0.01, "a"), (0.021, "b"), (0.0, "d"), (0.4, "c"), (0.004, "d")]
)
def test_the_fastest_that_is_good_enough(drop: float | None, expected: str) -> None:
    assert named(Bounds.of(drop, None)) == expected


@pytest.mark.parametrize(("ms", "expected"), [(6.5, "a"), (6.0, "a"), (5.0, "b"), (3.0, "c"), (8.0, "d"), (20.0, "d")])
def test_the_best_that_is_fast_enough(ms: float, expected: str) -> None:
    assert named(Bounds.of(None, ms)) == expected


def test_of_equally_good_ones_the_faster_is_the_best_in_time() -> None:
    found, _ = Bounds.of(None, 9).best(DENSE, [candidate("slow", 0.8, 8.0), candidate("fast", 0.8, 2.0)])
    assert found is not None
    assert found.name == "fast"


def test_the_dense_model_itself_meets_a_time() -> None:
    found, why = Bounds.of(None, 12).best(DENSE, [candidate("c", 0.5, 1.0)])
    assert (found, "10 ms" in why) == (DENSE, True)


def test_where_none_is_good_enough_it_says_how_near_the_best_came() -> None:
    found, why = Bounds.of(0.01, None).best(DENSE, [candidate("b", 0.88, 4.0), candidate("c", 0.5, 1.0)])
    assert found is None
    assert why == "no faster file is at most 0.01 below the dense model's 0.9; the best of the others has 0.88"


def test_one_that_is_good_enough_and_slower_is_not_recommended() -> None:
    found, why = Bounds.of(0.01, None).best(DENSE, [candidate("slow", 0.9, 11.0)])
    assert found is None
    assert why.startswith("no faster file")


def test_where_none_is_fast_enough_it_says_how_near_one_came() -> None:
    found, why = Bounds.of(None, 0.5).best(DENSE, CANDIDATES)
    assert found is None
    assert why == "none takes at most 0.5 ms; the fastest, c, takes 1 ms"


@pytest.mark.parametrize(("drop", "ms"), [(0.1, 5.0), (-0.1, None), (math.nan, None), (math.inf, None), (None, -1.0)])
def test_bounds_of_no_use_are_refused(drop: float | None, ms: float | None) -> None:
    with pytest.raises(InputError) as caught:
        Bounds.of(drop, ms)
    assert caught.value.code == "GP647"


def test_the_least_quality() -> None:
    assert Bounds.of(0.2, None).least_quality(0.9) == pytest.approx(0.7)
    assert Bounds.of(None, 5).least_quality(0.9) is None
