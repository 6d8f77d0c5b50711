"""Integers compared in levels."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.verification.levels import Before, compare_levels
from graphprune.verification.roundings import Precision

SIZE = 10_000


def values(*changes: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Integers, and the same with steps added at some places."""
    expected = np.full(SIZE, 100, np.uint8)
    actual = expected.copy()
    for place, step in changes:
        actual[place] = int(actual[place]) + step
    return expected, actual


def before(*levels: float) -> Before:
    """What was rounded: these for the first elements, whole levels for all others."""
    return Before(np.array([*levels, *np.zeros(SIZE - len(levels))], np.float32), Precision())


def test_equal_integers() -> None:
    found = compare_levels(*values())
    assert (found.elements, found.differing, found.most_levels, found.reason) == (SIZE, 0, 0, None)


def test_one_level_in_few_elements_passes() -> None:
    found = compare_levels(*values((0, 1), (1, -1)))
    assert (found.differing, found.most_levels, found.reason) == (2, 1, None)


def test_two_levels_anywhere_fail() -> None:
    found = compare_levels(*values((7, -2)))
    assert found.reason == f"differs in 1 of {SIZE} elements, by up to 2 levels"
    assert found.most_levels == 2


def test_steps_do_not_wrap() -> None:
    found = compare_levels(np.array([0], np.uint8), np.array([255], np.uint8))
    assert found.most_levels == 255


@pytest.mark.parametrize(("count", "passes"), [(13, True), (14, False)])
def test_three_and_a_thousandth_may_differ_where_ties_are_not_known(count: int, passes: bool) -> None:  # noqa: FBT001 - a case
    found = compare_levels(*values(*((place, 1) for place in range(count))))
    assert found.reason == (None if passes else f"differs by one level in 14 of {SIZE} elements, where ties explain 10")


@pytest.mark.parametrize(
    ("level", "passes"), [(2.5, True), (2.49, True), (-3.51, True), (2.48, False), (2.0, False), (-3.0, False)]
)
def test_only_what_is_near_a_tie_may_be_rounded_the_other_way(level: float, passes: bool) -> None:  # noqa: FBT001 - a case
    found = compare_levels(*values((0, 1)), before(level))
    assert found.reason == (None if passes else f"differs by one level in 1 of {SIZE} elements that are near no tie")


def test_as_many_may_as_lie_at_a_tie() -> None:
    changes = [(place, 1) for place in range(20)]
    assert compare_levels(*values(*changes), before(*[4.5] * 17, *[4.49] * 3)).reason is None
    found = compare_levels(*values(*changes), before(*[4.5] * 16, *[4.49] * 4))
    assert found.reason == f"differs by one level in 20 of {SIZE} elements, where ties explain 16"


def test_other_shapes_fail() -> None:
    found = compare_levels(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))
    assert (found.reason, found.differing) == ("has shape [3, 2], expected [2, 3]", 6)
