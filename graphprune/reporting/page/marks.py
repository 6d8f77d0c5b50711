"""The marks of models in a picture: shapes say what they are, fillings whether they are in the Pareto set."""

from __future__ import annotations

from typing import NamedTuple

from markupsafe import Markup

from graphprune.reporting.page.entries import Point
from graphprune.reporting.page.svg import tag

RADIUS = 5.5
RING = 9.5
_LEGEND = 24


class Kind(NamedTuple):
    """How a kind of model is drawn, and what that is called."""

    shape: str
    look: str
    words: str


CHOSEN = Kind("circle", "pareto", "recommended (ring)")
KINDS = (
    Kind("circle", "pareto", "in the Pareto set"),
    Kind("circle", "dominated", "another is as fast and as good (hollow)"),
    Kind("square", "pareto", "the dense model, in the Pareto set"),
    Kind("square", "dominated", "the dense model, not in it (hollow)"),
    Kind("triangle", "rival", "without graphprune"),
)


def kind_of(point: Point) -> Kind:
    """Which of `KINDS` a point is."""
    if point.entry is None:
        return KINDS[4]
    return KINDS[2 * point.entry.is_dense + (not point.in_pareto)]


def mark(kind: Kind, x: float, y: float, *, is_recommended: bool = False) -> Markup:
    """The mark at a place."""
    ring = tag("circle", cx=x, cy=y, r=RING, class_="ring") if is_recommended else Markup("")
    return ring + _SHAPES[kind.shape](x, y, f"mark {kind.look}")


def legend(points: list[Point]) -> list[tuple[Markup, str]]:
    """Each kind of mark that is in the picture, and its words."""
    present = {kind_of(point) for point in points}
    rows = [(_sample(kind, is_recommended=False), kind.words) for kind in KINDS if kind in present]
    chosen = [(_sample(kind_of(each), is_recommended=True), CHOSEN.words) for each in points if each.is_recommended]
    return [*chosen, *rows]


def _sample(kind: Kind, *, is_recommended: bool) -> Markup:
    """A mark by itself, which the words beside it say all of."""
    drawn = mark(kind, _LEGEND / 2, _LEGEND / 2, is_recommended=is_recommended)
    return tag(
        "svg",
        drawn,
        viewBox=f"0 0 {_LEGEND} {_LEGEND}",
        width=_LEGEND,
        height=_LEGEND,
        aria_hidden="true",
        class_="key",
    )


def _circle(x: float, y: float, look: str) -> Markup:
    return tag("circle", cx=x, cy=y, r=RADIUS, class_=look)


def _square(x: float, y: float, look: str) -> Markup:
    return tag("rect", x=x - RADIUS, y=y - RADIUS, width=2 * RADIUS, height=2 * RADIUS, class_=look)


def _triangle(x: float, y: float, look: str) -> Markup:
    corners = ((x, y - RADIUS), (x + RADIUS, y + RADIUS), (x - RADIUS, y + RADIUS))
    return tag("polygon", points=" ".join(f"{a:.2f},{b:.2f}" for a, b in corners), class_=look)


_SHAPES = {"circle": _circle, "square": _square, "triangle": _triangle}
