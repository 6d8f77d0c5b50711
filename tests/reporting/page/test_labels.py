"""Labels beside points."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.reporting.page.labels import Box, Label, Place, place

AREA = Box(0, 0, 400, 300)
PLACES = st.tuples(st.floats(0, 400), st.floats(0, 300))


def mark(x: float, y: float) -> Box:
    return Box(x - 9, y - 9, 18, 18)


def put(*points: tuple[float, float], width: float = 60, lines: tuple[Box, ...] = ()) -> list[Place | None]:
    return place([Label(x, y, width, 15) for x, y in points], [mark(x, y) for x, y in points], lines, AREA)


@pytest.mark.parametrize(
    ("other", "overlaps"),
    [
        (Box(5, 5, 1, 1), True), (Box(10, 0, 5, 5), False), (Box(-5, 0, 5, 5), False), (Box(0, 10, 5, 5), False),
        (Box(0, -5, 5, 5), False), (Box(9, 9, 5, 5), True), (Box(-1, -1, 20, 20), True), (Box(4, -9, 1, 30), True),
    ],
)  # fmt: skip
def test_overlapping(other: Box, overlaps: bool) -> None:  # noqa: FBT001
    assert Box(0, 0, 10, 10).overlaps(other) is overlaps
    assert other.overlaps(Box(0, 0, 10, 10)) is overlaps


@pytest.mark.parametrize(
    ("inner", "is_in"),
    [
        (Box(0, 0, 10, 10), True),
        (Box(-1, 0, 5, 5), False),
        (Box(6, 0, 5, 5), False),
        (Box(0, -1, 5, 5), False),
        (Box(0, 6, 5, 5), False),
    ],
)
def test_lying_in(inner: Box, is_in: bool) -> None:  # noqa: FBT001
    assert inner.is_in(Box(0, 0, 10, 10)) is is_in


def test_a_label_goes_to_the_right() -> None:
    (found,) = put((100, 100))
    assert found == Place(Box(111, 92.5, 60, 15), None)


def test_at_the_right_edge_it_goes_to_the_left() -> None:
    (found,) = put((390, 100))
    assert found == Place(Box(319, 92.5, 60, 15), None)


def test_it_keeps_off_lines_where_it_can() -> None:
    line = Box(0, 99, 400, 2)
    (found,) = put((100, 100), lines=(line,))
    assert found
    assert not found.box.overlaps(line)
    (found,) = put((100, 100), lines=(AREA,))
    assert found


def test_it_does_not_come_near_the_mark_of_another_point_where_it_can() -> None:
    (found, _) = put((100, 100), (185, 100))
    assert found
    assert not found.box.overlaps(mark(185, 100).widened(6))


def test_far_labels_have_a_line_from_their_point() -> None:
    (found,) = put((200, 150), lines=(Box(180, 130, 40, 40),))
    assert found
    x1, y1, x2, y2 = found.leader or (0, 0, 0, 0)
    assert (x1, y1) == (200, 150)
    assert found.box.holds(x2, y2)


def test_the_line_of_a_label_keeps_others_off() -> None:
    crossed = Place(Box(100, 100, 50, 15), (200, 107, 150, 107))
    assert any(Box(170, 100, 10, 15).overlaps(part) for part in crossed.covered)
    assert not any(Box(195, 100, 10, 15).overlaps(part) for part in crossed.covered)


def test_what_has_no_room_has_no_label() -> None:
    assert put((100, 100), width=500) == [None]
    assert None in put(*[(200, 150)] * 100)


@pytest.mark.parametrize("seed", range(10))
def test_in_a_crowd_no_label_lies_over_the_line_of_another(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - the same places each time
    found = put(*[(draw.uniform(0, 400), draw.uniform(0, 300)) for _ in range(40)])
    placed = [each for each in found if each]
    assert any(each.leader for each in placed)
    assert not any(a.overlaps(b) for one, other in combinations(placed, 2) for a in one.covered for b in other.covered)


@settings(deadline=None, max_examples=40)
@given(st.lists(PLACES, max_size=25))
def test_labels_overlap_neither_each_other_nor_marks(points: list[tuple[float, float]]) -> None:
    found = [each for each in put(*points) if each]
    assert not any(a.overlaps(b) for one, other in combinations(found, 2) for a in one.covered for b in other.covered)
    assert not any(each.box.overlaps(mark(*point)) for each in found for point in points)
    assert all(each.box.is_in(AREA) for each in found)


@settings(deadline=None, max_examples=40)
@given(st.lists(PLACES, min_size=2, max_size=25))
def test_the_first_label_is_placed_whatever_follows(points: list[tuple[float, float]]) -> None:
    (alone, *_) = place([Label(*points[0], 60, 15)], [mark(*each) for each in points], (), AREA)
    assert put(*points)[0] == alone
