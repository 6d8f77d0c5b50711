"""Which candidates are made on the way to a bound."""

from __future__ import annotations

import pytest

from graphprune.optimization.ladder import Ladder, climb, descend
from graphprune.reporting.report import CandidateReport

LADDER = Ladder(first=0.70, step=0.14, least=0.40, most=0.95)


def candidate(quality: float, ms: float) -> CandidateReport:
    return CandidateReport(name="c", model="c", model_bytes=1, quality=quality, median_ms=ms, p90_ms=ms)


@pytest.mark.parametrize("most", [0.41, 0.5, 0.62, 0.7, 0.83, 0.94, 0.99])
def test_climbing_ends_near_the_most_zeros_that_are_good_enough(most: float) -> None:
    tried: list[float] = []

    def make(share: float) -> CandidateReport:
        tried.append(share)
        return candidate(1.0 if share <= most else 0.0, 1 - share)

    assert len(list(climb(make, 0.5, LADDER))) == len(tried) == 4
    good = [share for share in tried if share <= most]
    assert not good or min(most, 0.95) - max(good) < 0.05 or max(good) == pytest.approx(0.95, abs=0.01)
    assert good or most < 0.47
    assert all(0.4 <= share <= 0.95 for share in tried)


def test_a_ladder_says_where_it_begins_and_ends() -> None:
    tried: list[float] = []

    def make(share: float) -> CandidateReport:
        tried.append(share)
        return candidate(0.0, 1.0)

    list(climb(make, 0.5, Ladder(first=0.2, step=0.1, least=0.05, most=0.6)))
    assert tried == [0.2, 0.1, 0.05, 0.05]


def test_shares_that_gain_nothing_are_left_out() -> None:
    found = list(climb(lambda share: candidate(0.0, 1.0) if share > 0.82 else None, 0.5, LADDER))
    assert len(found) == 1  # 70% gains nothing, 84% is too much, 77% and 81% gain nothing


def test_descending_takes_off_what_a_measurement_is_over() -> None:
    asked: list[float] = []

    def make(ms: float) -> CandidateReport:
        asked.append(ms)
        return candidate(0.9, 1.25 * ms)

    found = list(descend(make, 10.0))
    assert asked == [10.0, pytest.approx(8.0)]
    assert found[-1].median_ms == pytest.approx(10.0)


def test_descending_ends() -> None:
    assert len(list(descend(lambda _: candidate(0.9, 20.0), 10.0))) == 4
