"""Labels beside the points of a picture, none over another one or over a point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_NEAR = 11.0
_DISTANCES = (_NEAR, 18.0, 28.0, 40.0, 55.0, 75.0, 100.0)
"""How far from its point a label may begin; from the second on, a line leads to it."""

_AROUND = (1.0, -1.0, 0.0, 0.5, -0.5)
_SIDES = sorted(
    ((right, down) for right in _AROUND for down in _AROUND if max(abs(right), abs(down)) == 1),
    key=lambda side: (abs(side[1]), abs(side[0]) % 1, abs(side[0]) != 0, side[0] < 0),
)
"""How far to the right and down of its point a label is; the best first: beside it, then above and below."""

_DIAGONAL = 0.7


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


@dataclass(frozen=True)
class Label:
    """A label's size, and the point that it belongs to."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Place:
    """Where a label lies, and whether it is so far from its point that a line has to lead there."""

    box: Box
    is_far: bool


def place(labels: Sequence[Label], taken: Iterable[Box], lines: Sequence[Box], area: Box) -> list[Place | None]:
    """Where each label goes, the first ones first; None for those that no free place within `area` is left for.

    Args:
        labels: What has to be placed.
        taken: What no label may lie over.
        lines: What a label lies over only where there is no other place.
        area: What all of them lie in.
    """
    used = list(taken)
    found: list[Place | None] = []
    for label in labels:
        free = [each for each in _places(label) if each.box.is_in(area) and not any(map(each.box.overlaps, used))]
        clear = (each for each in free if not any(map(each.box.overlaps, lines)))
        found.append(next(clear, free[0] if free else None))
        used += [each.box for each in found[-1:] if each is not None]
    return found


def _places(label: Label) -> Iterator[Place]:
    """The nearest first, and of those the one to the right."""
    for distance in _DISTANCES:
        for right, down in _SIDES:
            reach = distance * (_DIAGONAL if right and down else 1)
            x = label.x + right * reach + (right - 1) * label.width / 2
            y = label.y + down * reach + (down - 1) * label.height / 2
            yield Place(Box(x, y, label.width, label.height), is_far=distance > _NEAR)
