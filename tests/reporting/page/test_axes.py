"""Where values lie on axes, and the numbers beside them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.reporting.page.axes import Axis
from tests.reporting.page.example import plain

SPANS = st.lists(st.floats(-1e12, 1e12, allow_nan=False), min_size=1, max_size=5)


def texts(axis: Axis, most: int = 8) -> list[str]:
    return [plain(text) for _, text in axis.ticks(most)]


def test_places() -> None:
    axis = Axis(0.0, 10.0, 100.0, 200.0)
    assert axis.place(2.5) == 125.0
    assert Axis(0.0, 10.0, 200.0, 100.0).place(2.5) == 175.0


def test_places_by_powers() -> None:
    assert Axis(0.0, 2.0, 0.0, 100.0, is_log=True).place(10.0) == pytest.approx(50.0)


def test_ticks_are_round() -> None:
    assert texts(Axis(0.58, 0.77, 0, 1)) == ["0.60", "0.65", "0.70", "0.75"]
    assert texts(Axis(-1.0, 1.0, 0, 1)) == ["-1.0", "-0.5", "0.0", "0.5", "1.0"]
    assert texts(Axis(0.0, 4000.0, 0, 1), 5) == ["0", "1,000", "2,000", "3,000", "4,000"]


def test_ticks_of_powers() -> None:
    assert texts(Axis(0.0, 1.0, 0, 1, is_log=True)) == ["1", "2", "3", "4", "5", "6", "8", "10"]
    assert texts(Axis(0.0, 2.0, 0, 1, is_log=True)) == ["1", "2", "5", "10", "20", "50", "100"]
    assert texts(Axis(-1.0, 2.0, 0, 1, is_log=True), 5) == ["0.1", "1", "10", "100"]
    assert texts(Axis(-4.0, 4.0, 0, 1, is_log=True), 5) == ["1e-04", "0.01", "1", "100", "10,000"]


def test_an_axis_is_logarithmic_where_the_spread_is_large() -> None:
    assert Axis.fit([1.0, 5.0], 0, 1, may_be_log=True).is_log
    assert not Axis.fit([1.0, 4.9], 0, 1, may_be_log=True).is_log
    assert not Axis.fit([1.0, 50.0], 0, 1).is_log
    assert not Axis.fit([0.0, 50.0], 0, 1, may_be_log=True).is_log
    assert not Axis.fit([-1.0, 50.0], 0, 1, may_be_log=True).is_log


@pytest.mark.parametrize("value", [0.0, 5.0, -5.0, 1e-9, 1e11])
def test_equal_values_lie_in_the_middle(value: float) -> None:
    axis = Axis.fit([value, value, value], 0.0, 100.0, may_be_log=True)
    assert axis.place(value) == pytest.approx(50.0)
    assert len(axis.ticks()) >= 1


@settings(deadline=None)
@given(SPANS, st.integers(2, 12), st.booleans())
def test_all_values_and_ticks_are_on_the_axis(values: list[float], most: int, may_be_log: bool) -> None:  # noqa: FBT001
    axis = Axis.fit(values, 10.0, 110.0, may_be_log=may_be_log)
    assert all(10 <= axis.place(value) <= 110 for value in values)
    ticks = axis.ticks(most)
    assert len(ticks) <= most + 1
    assert all(10 - 1e-6 <= place <= 110 + 1e-6 for place, _ in ticks)
    assert [place for place, _ in ticks] == sorted(place for place, _ in ticks)


@settings(deadline=None)
@given(SPANS)
def test_no_two_ticks_are_written_alike(values: list[float]) -> None:
    shown = texts(Axis.fit(values, 0.0, 1.0, may_be_log=True))
    assert len(set(shown)) == len(shown)


def test_a_tick_lies_where_its_number_does() -> None:
    axis = Axis.fit([0.58, 0.77], 0.0, 100.0)
    assert all(math.isclose(axis.place(float(plain(text))), place) for place, text in axis.ticks())
