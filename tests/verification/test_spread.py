"""Errors in numbers that tell ties of rounding from mistakes."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.verification.spread import Spread, Ties

VALUES = np.random.default_rng(0).standard_normal(1000).astype(np.float32)


def test_each_number() -> None:
    found = Spread.of(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 3.0, 6.0]))
    assert (found.rms, found.largest, found.offset) == (1.0, 2.0, 0.5)
    assert found.gain == pytest.approx(3 / 5 * np.sqrt(7.5))


def test_a_wrong_scale_is_all_gain_and_a_wrong_zero_point_all_offset() -> None:
    scaled, moved = Spread.of(VALUES, VALUES * np.float32(1.01)), Spread.of(VALUES, VALUES + np.float32(0.01))
    assert scaled.gain == pytest.approx(0.01 * np.sqrt(np.mean(VALUES**2)), rel=1e-3)
    assert moved.offset == pytest.approx(0.01, rel=1e-3)
    assert scaled.offset < 1e-3
    assert moved.gain < 1e-6


def test_choices_differ_or_do_not() -> None:
    found = Spread.of_choices(np.array([1, 2, 3, 4]), np.array([1, 2, 3, 900]))
    assert (found.rms, found.largest, found.offset, found.gain) == (0.5, 1.0, 0.25, 0.0)


def test_what_is_not_finite_is_left_out() -> None:
    assert Spread.of(np.array([np.nan, np.inf, 1.0]), np.array([np.nan, np.inf, 2.0])).rms == 1.0
    assert Spread.of(np.array([np.nan]), np.array([np.nan])) == Spread()


def test_equal_values_have_no_gain() -> None:
    assert Spread.of(np.ones(3), np.array([1.0, 2.0, 1.0])).gain == 0.0


@pytest.mark.parametrize("number", ["rms", "largest", "offset", "gain"])
def test_every_number_has_to_be_within(number: str) -> None:
    assert Spread(**{number: 1.5}).is_within(Spread(1, 1, 1, 1), 1.5, 0.0)
    assert not Spread(**{number: 1.6}).is_within(Spread(1, 1, 1, 1), 1.5, 0.0)
    assert Spread(**{number: 1.6}).is_within(Spread(1, 1, 1, 1), 1.5, 0.1)


def test_the_larger_of_each() -> None:
    assert Spread(1, 2, 3, 4).and_(Spread(4, 3, 2, 1)) == Spread(4, 3, 3, 4)


def test_the_number_with_the_least_room_is_said() -> None:
    ties = Ties(Spread(1, 2, 3, 4), Spread(2, 4, 4, 16), 5, 2.0)
    assert str(ties) == "offset error 3, levels up to 2; ties explain 4 (runs: 5)"
    assert ties.share == 0.75
    assert Ties(Spread(rms=1), Spread(), 16, None).share == float("inf")
    assert Ties(Spread(), Spread(), 16, None).share == 0.0
