"""Quality against time: all models, the line of those that nothing beats, and the bounds that were set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from graphprune.reporting.page.entries import Point, points
from graphprune.reporting.page.frame import FONT, Bound, Format, Frame
from graphprune.reporting.page.labels import Box, Label, Place, place
from graphprune.reporting.page.marks import RING, kind_of, mark
from graphprune.reporting.page.numbers import ms, significant
from graphprune.reporting.page.svg import Names, line, picture, tag
from graphprune.reporting.page.text import shorten, width
from graphprune.reporting.report import Report

_LINE = 15.0
_BASE = 11.5
"""Where in its line of that height text stands."""

_BOUND = "bound-label"
_TOLD = 20
"""How many models of the Pareto set the description of a picture names."""


@dataclass(frozen=True)
class Scatter:
    """The picture, and how many of its points have no label for want of room."""

    drawn: Markup
    unnamed: int


@dataclass(frozen=True)
class Text:
    """Words beside a place of the picture, and how they look."""

    words: str
    x: float
    y: float
    look: str

    @property
    def label(self) -> Label:
        """The room that they take."""
        return Label(self.x, self.y, width(self.words, FONT, bold=self.look == "chosen"), _LINE)


def scatter(report: Report, form: Format) -> Scatter | None:
    """Draw all models of the report that have a place; None where none has."""
    shown = sorted(points(report), key=_weight)
    if not shown:
        return None
    frame = Frame.around(report, shown, form)
    bounds = [_of_bound(each) for each in frame.bounds()]
    texts = [*bounds, *(_of_point(each, frame) for each in shown)]
    lines = [_around(*each.ends) for each in frame.bounds()]
    lines += [_around(*start, *end) for start, end in pairwise(_corners(shown, frame))]
    places = place([each.label for each in texts], [_box(each, frame) for each in shown], lines, frame.area)
    names = Names(f"pareto-{form.name}", "Quality against time", _describe(report, shown))
    drawn = picture(names, form.width, form.height, *frame.draw(), *_content(shown, frame, texts, places))
    return Scatter(drawn, sum(each is None for each in places[len(bounds) :]))


def _weight(point: Point) -> tuple[bool, bool, bool]:
    """Those whose labels matter most come first."""
    return not point.is_recommended, not point.in_pareto, point.entry is not None


def _content(
    shown: Sequence[Point], frame: Frame, texts: Sequence[Text], places: Sequence[Place | None]
) -> Iterator[Markup]:
    """The line, then the labels, then marks over them: those that matter most last."""
    yield _front(shown, frame)
    for text, where in zip(texts, places, strict=True):
        if where is not None:
            yield from _draw(text, where)
    for point in reversed(shown):
        x, y = frame.place(point)
        told = f"{point.name}: {ms(point.ms)}, {significant(point.quality, 5)}"
        yield tag("g", tag("title", told), mark(kind_of(point), x, y, is_recommended=point.is_recommended))


def _front(shown: Sequence[Point], frame: Frame) -> Markup:
    corners = " ".join(f"{x:.2f},{y:.2f}" for x, y in _corners(shown, frame))
    return tag("polyline", points=corners, class_="front")


def _corners(shown: Sequence[Point], frame: Frame) -> list[tuple[float, float]]:
    """What can be had at each time: a step up at each model of the Pareto set, the fastest first."""
    corners: list[tuple[float, float]] = []
    for x, y in sorted(frame.place(each) for each in shown if each.in_pareto):
        corners += [(x, corners[-1][1] if corners else y), (x, y)]
    return corners


def _around(x1: float, y1: float, x2: float, y2: float) -> Box:
    """What a line covers, up or across."""
    return Box(min(x1, x2) - 1, min(y1, y2) - 1, abs(x2 - x1) + 2, abs(y2 - y1) + 2)


def _of_bound(bound: Bound) -> Text:
    return Text(bound.text, bound.x, bound.y, _BOUND)


def _of_point(point: Point, frame: Frame) -> Text:
    words = shorten(point.name, frame.form.label, FONT, bold=point.is_recommended)
    return Text(words, *frame.place(point), "chosen" if point.is_recommended else "label")


def _box(point: Point, frame: Frame) -> Box:
    """What a mark covers, its ring included."""
    x, y = frame.place(point)
    return Box(x - RING, y - RING, 2 * RING, 2 * RING)


def _draw(text: Text, where: Place) -> Iterator[Markup]:
    box = where.box
    if where.leader and text.look != _BOUND:
        yield line(*where.leader, class_="leader")
    anchor, x = ("end", box.x + box.width) if box.x + box.width < text.x else ("start", box.x)
    if box.x < text.x < box.x + box.width:
        anchor, x = "middle", box.x + box.width / 2
    yield tag("text", text.words, x=x, y=box.y + _BASE, text_anchor=anchor, class_=text.look)


def _describe(report: Report, shown: Sequence[Point]) -> str:
    """What the picture shows, for those who hear it."""
    front = sorted((each for each in shown if each.in_pareto), key=lambda each: each.ms)
    told = "; ".join(f"{each.name}: {ms(each.ms)}, {significant(each.quality, 5)}" for each in front[:_TOLD])
    more = f"; and {len(front) - _TOLD} more" if len(front) > _TOLD else ""
    return (
        f"{len(shown)} models by the median time of a run and by {report.metric}. "
        f"Those of the Pareto set, the fastest first: {told}{more}. The table below has all."
    )
