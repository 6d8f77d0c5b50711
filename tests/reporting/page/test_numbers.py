"""Numbers as they are written."""

from __future__ import annotations

import math

import pytest

from graphprune.reporting.page.numbers import decimals, fixed, ms, percent, ratio, significant, size, times
from tests.reporting.page.example import plain


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-0.0, "0"), (1.0, "1.00"), (12.345, "12.3"), (1234.5, "1,234"), (0.012345, "0.0123"),
        (0.001, "0.00100"), (0.00099, "9.90e-04"), (1.234e-7, "1.23e-07"), (-3.14159, "-3.14"), (-2e-9, "-2.00e-09"),
        (999_999_999.0, "999,999,999"), (1e9, "1.00e+09"), (math.inf, "not finite"), (math.nan, "not finite"),
        (None, "not known"),
    ],
)  # fmt: skip
def test_significant_digits(value: float | None, text: str) -> None:
    assert plain(significant(value)) == text


def test_fewer_digits() -> None:
    assert significant(0.25, 1) == "0.2"
    assert significant(2000.0, 1) == "2,000"
    assert plain(significant(1e-5, 1)) == "1e-05"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0125, "+0.013"),
        (-0.5, "-0.500"),
        (0.0, "0.000"),
        (-0.0001, "0.000"),
        (1e300, "1.00e+300"),
        (math.nan, "not finite"),
    ],
)
def test_so_many_places_and_a_sign(value: float, text: str) -> None:
    assert plain(fixed(value, 3, plus=True)) == text


def test_no_plus_where_none_is_asked_for() -> None:
    assert fixed(1234.5678, 2) == "1,234.57"


@pytest.mark.parametrize(
    ("values", "places"),
    [([], 0), ([0.0], 0), ([0.76, 0.1], 4), ([76.0, 0.1], 2), ([-1e6], 0), ([1e-30], 12), ([math.inf, 7.0], 3)],
)
def test_places_that_show_digits_of_the_largest(values: list[float], places: int) -> None:
    assert decimals(values, 4) == places


def test_units() -> None:
    assert ms(12.345) == "12.3 ms"
    assert ms(None) == "not known"
    assert percent(0.1234) == "12.3%"
    assert percent(0.05, plus=True) == "+5.0%"
    assert plain(percent(-0.05, plus=True)) == "-5.0%"
    assert percent(None) == "not known"
    assert percent(math.inf) == "not finite"
    assert times(2.345) == "2.35x"
    assert times(None) == "not known"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.00 kB"),
        (97_812_345, "97.8 MB"),
        (10**10, "10.0 GB"),
        (10**13, "10,000 GB"),
        (None, "not known"),
    ],
)
def test_sizes(value: int | None, text: str) -> None:
    assert size(value) == text


def test_a_ratio_that_is_no_number_is_not_known() -> None:
    assert ratio(1.0, 4.0) == 0.25
    assert ratio(1.0, 0.0) is None
    assert ratio(math.inf, 1.0) is None
    assert ratio(1.0, math.nan) is None


def test_a_minus_is_as_wide_as_a_plus() -> None:
    assert fixed(-1.0, 1) == "\N{MINUS SIGN}1.0"
