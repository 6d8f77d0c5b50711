"""Labels beside the points of a picture, none over another one or over a point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_NEAR = 11.0
_DISTANCES = (_NEAR, 18.0, 28.0, 40.0, 55.0, 70.0)
"""How far from its point a label may begin; from the second on, a line leads to it."""

_AROUND = (1.0, -1.0, 0.0, 0.5, -0.5)
_SIDES = sorted(
    ((right, down) for right in _AROUND for down in _AROUND if max(abs(right), abs(down)) == 1),
    key=lambda side: (abs(side[1]), abs(side[0]) % 1, abs(side[0]) != 0, side[0] < 0),
)
"""How far to the right and down of its point a label is; the best first: beside it, then above and below."""

_DIAGONAL = 0.7
_DOT = 3.0
_MARGIN = 6.0


@dataclass(frozen=True)
class Box:
    """A rectangle by its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    def overlaps(self, other: Box) -> bool:
        """Whether a part of one lies in the other."""
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )

    def is_in(self, outer: Box) -> bool:
        """Whether all of it lies in `outer`."""
        return (
            outer.x <= self.x
            and self.x + self.width <= outer.x + outer.width
            and outer.y <= self.y
            and self.y + self.height <= outer.y + outer.height
        )

    def widened(self, margin: float) -> Box:
        """The rectangle with a margin around it."""
        return Box(self.x - margin, self.y - margin, self.width + 2 * margin, self.height + 2 * margin)

    def holds(self, x: float, y: float) -> bool:
        """Whether a place lies in it."""
        return self.x <= x <= self.x + self.width and self.y <= y <= self.y + self.height


@dataclass(frozen=True)
class Label:
    """A label's size, and the point that it belongs to."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Place:
    """Where a label lies and, where it is so far from its point that a line has to lead there, the ends of that."""

    box: Box
    leader: tuple[float, float, float, float] | None

    @property
    def covered(self) -> list[Box]:
        """What the label and its line cover."""
        return [self.box, *(_dots(*self.leader) if self.leader else ())]


def place(labels: Sequence[Label], taken: Iterable[Box], lines: Sequence[Box], area: Box) -> list[Place | None]:
    """Where each label goes, the first ones first; None for those that no free place within `area` is left for.

    Args:
        labels: What has to be placed.
        taken: What no label may lie over.
        lines: What a label lies over only where there is no other place, as it comes near a mark that is not its own.
        area: What all of them lie in.
    """
    marks, used = list(taken), list[Box]()
    found: list[Place | None] = []
    for label in labels:
        free = [each for each in _places(label) if each.box.is_in(area) and _is_free(each, marks, used)]
        avoided = [*lines, *(mark.widened(_MARGIN) for mark in marks if not mark.holds(label.x, label.y))]
        clear = (each for each in free if not any(map(each.box.overlaps, avoided)))
        found.append(next(clear, free[0] if free else None))
        used += [box for each in found[-1:] if each for box in each.covered]
    return found


def _is_free(place: Place, marks: Iterable[Box], used: Iterable[Box]) -> bool:
    """Whether a label there hides no mark, and neither it nor its line meets another label or the line of one."""
    is_hiding = any(map(place.box.overlaps, marks))
    return not is_hiding and not any(part.overlaps(other) for part in place.covered for other in used)


def _places(label: Label) -> Iterator[Place]:
    """The nearest first, and of those the one to the right."""
    for distance in _DISTANCES:
        for right, down in _SIDES:
            reach = distance * (_DIAGONAL if right and down else 1)
            x = label.x + right * reach + (right - 1) * label.width / 2
            y = label.y + down * reach + (down - 1) * label.height / 2
            box = Box(x, y, label.width, label.height)
            yield Place(box, _leader(label, box) if distance > _NEAR else None)


def _leader(label: Label, box: Box) -> tuple[float, float, float, float]:
    """From the point to the nearest place of the box."""
    x = min(max(label.x, box.x), box.x + box.width)
    y = min(max(label.y, box.y), box.y + box.height)
    return label.x, label.y, x, y


def _dots(x1: float, y1: float, x2: float, y2: float) -> Iterator[Box]:
    """Small boxes along a line, which stand for it outside its mark."""
    count = int(max(abs(x2 - x1), abs(y2 - y1)) / _DOT)
    for number in range(int(_NEAR / _DOT), count):
        share = number / count
        yield Box(x1 + share * (x2 - x1), y1 + share * (y2 - y1), 1, 1)
