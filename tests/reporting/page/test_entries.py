"""How candidates compare with others."""

from __future__ import annotations

import math

import pytest

from graphprune.reporting.page.entries import base, entries, is_drawn, points, speedup
from tests.reporting.page.example import candidate, full, report, rival


def test_the_dense_one_comes_first_and_all_are_numbered() -> None:
    found = entries(full())
    assert [each.candidate.name for each in found] == ["net", "wanda 60%", "sparsegpt 60%", "int8"]
    assert [each.number for each in found] == [0, 1, 2, 3]
    assert [each.is_dense for each in found] == [True, False, False, False]
    assert [each.is_recommended for each in found] == [False, False, True, False]


def test_the_pareto_set_is_that_of_the_report() -> None:
    given = full()
    assert {each.candidate.name for each in entries(given) if each.in_pareto} == {each.name for each in given.pareto()}


def test_of_two_that_are_the_same_one_is_in_the_pareto_set() -> None:
    found = entries(report(candidate("a", 0.96, 1.0), candidate("b", 0.96, 1.0), candidate("a", 0.96, 1.0)))
    assert [each.in_pareto for each in found] == [False, True, False, False]


def test_only_one_is_recommended() -> None:
    found = entries(report(candidate("a"), candidate("a"), recommended="a"))
    assert [each.is_recommended for each in found] == [False, True, False]
    assert not any(each.is_recommended for each in entries(report(recommended="none")))


def test_numbers_relative_to_others() -> None:
    (dense, pruned) = entries(
        report(candidate(quality=0.90, ms=5.0, predicted_ms=5.5), rivals=(rival(ms=8.0), rival(ms=1.0)))
    )
    assert pruned.change == pytest.approx(-0.05)
    assert dense.change == 0
    assert (dense.speedup, pruned.speedup) == (0.8, 1.6)
    assert (dense.over_dense, pruned.over_dense) == (1.0, 2.0)
    assert pruned.prediction_error == pytest.approx(0.1)
    assert dense.prediction_error is None


def test_without_rivals_speedups_are_relative_to_the_dense_one() -> None:
    given = report(candidate(ms=4.0))
    assert base(given) is given.dense
    assert speedup(given, given.candidates[0]) == 2.5


def test_no_time_has_no_speedup() -> None:
    assert entries(report(candidate(ms=0.0, predicted_ms=1.0)))[1].speedup is None
    assert entries(report(candidate(ms=0.0, predicted_ms=1.0)))[1].prediction_error is None


def test_points_are_all_that_have_a_place() -> None:
    given = report(
        candidate("a", math.nan),
        candidate("b", ms=math.inf),
        candidate("c", 1e13),
        candidate("d"),
        rivals=(rival("r"),),
    )
    assert [(each.name, each.entry is None) for each in points(given)] == [("net", False), ("d", False), ("r", True)]


@pytest.mark.parametrize(
    ("value", "drawn"), [(0.0, True), (-1.0, True), (1e12, False), (-math.inf, False), (math.nan, False), (None, False)]
)
def test_what_has_a_place(value: float | None, drawn: bool) -> None:  # noqa: FBT001
    assert is_drawn(value) is drawn
