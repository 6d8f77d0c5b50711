"""What the points of a picture lie in: axes of time and quality with their words, a grid, and bounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from graphprune.reporting.page.axes import Axis
from graphprune.reporting.page.entries import Point, is_drawn
from graphprune.reporting.page.labels import Box
from graphprune.reporting.page.numbers import ms, significant
from graphprune.reporting.page.svg import line, tag
from graphprune.reporting.page.text import shorten, width
from graphprune.reporting.report import Report

FONT = 12.0
_TICK = 11.0
_TOP, _RIGHT, _BOTTOM = 34.0, 14.0, 48.0
_BESIDE = 8.0
"""How far from the edge of the picture, and from the axis, numbers are."""

_INSIDE = 10.0
"""How far from the end of its line a bound's words are."""


@dataclass(frozen=True)
class Format:
    """A size of the picture for one kind of screen, how wide a label in it may be, and how many numbers an axis has."""

    name: str
    width: float
    height: float
    label: float
    ticks: int


WIDE = Format("wide", 960, 460, 240, 9)
NARROW = Format("narrow", 360, 500, 150, 5)


@dataclass(frozen=True)
class Bound:
    """A bound that was set: its words, the place beside which they go, and the ends of its line."""

    text: str
    x: float
    y: float
    ends: tuple[float, float, float, float]


@dataclass(frozen=True)
class Frame:
    """The axes of a picture, and the bounds that have a place on them."""

    form: Format
    metric: str
    area: Box
    across: Axis
    up: Axis
    most_ms: float | None
    least_quality: float | None

    @classmethod
    def around(cls, report: Report, shown: Sequence[Point], form: Format) -> Frame:
        """The frame that all points and bounds lie in."""
        most = report.most_ms if is_drawn(report.most_ms) else None
        least = report.least_quality if is_drawn(report.least_quality) else None
        times = [each.ms for each in shown] + [value for value in (most,) if value is not None]
        qualities = [each.quality for each in shown] + [value for value in (least,) if value is not None]
        up = Axis.fit(qualities, form.height - _BOTTOM, _TOP)
        left = max(width(text, _TICK) for _, text in up.ticks()) + 2 * _BESIDE
        across = Axis.fit(times, left, form.width - _RIGHT, may_be_log=True)
        area = Box(left, _TOP, form.width - _RIGHT - left, form.height - _BOTTOM - _TOP)
        return cls(form, report.metric, area, across, up, most, least)

    def place(self, point: Point) -> tuple[float, float]:
        """Where a point lies."""
        return self.across.place(point.ms), self.up.place(point.quality)

    def bounds(self) -> Iterator[Bound]:
        """The bounds that were set."""
        left, top, right, bottom = self._edges()
        if self.most_ms is not None:
            x = self.across.place(self.most_ms)
            yield Bound(f"at most {ms(self.most_ms)}", x, bottom - _INSIDE, (x, top, x, bottom))
        if self.least_quality is not None:
            y = self.up.place(self.least_quality)
            yield Bound(f"at least {significant(self.least_quality, 4)}", right - _INSIDE, y, (left, y, right, y))

    def draw(self) -> Iterator[Markup]:
        """Lines and words, which points are drawn over."""
        left, top, right, bottom = self._edges()
        for x, text in self.across.ticks(self.form.ticks):
            yield line(x, top, x, bottom, class_="grid")
            yield tag("text", text, x=x, y=bottom + 17, text_anchor="middle", class_="tick")
        for y, text in self.up.ticks():
            yield line(left, y, right, y, class_="grid")
            yield tag("text", text, x=left - _BESIDE, y=y + 4, text_anchor="end", class_="tick")
        yield from (line(*bound.ends, class_="bound") for bound in self.bounds())
        yield from self._words()

    def _words(self) -> Iterator[Markup]:
        left, _, right, bottom = self._edges()
        scale = ", logarithmic" if self.across.is_log else ""
        room = right - _BESIDE
        yield tag("text", shorten(f"↑ better: {self.metric}", room, FONT), x=_BESIDE, y=18, class_="axis")
        time = f"← faster: median ms{scale}"
        yield tag("text", shorten(time, right - left, FONT), x=left, y=bottom + 38, class_="axis")

    def _edges(self) -> tuple[float, float, float, float]:
        area = self.area
        return area.x, area.y, area.x + area.width, area.y + area.height
