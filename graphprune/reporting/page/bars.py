"""Rows of bars, each below its name and its number: as narrow as a telephone, three of them beside each other else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from graphprune.reporting.page.svg import Names, picture, tag
from graphprune.reporting.page.text import shorten, width

WIDTH = 360.0
ROW = 27.0
_FONT = 10.5
_TEXT, _BAR, _THICK = 11.0, 15.0, 8.0
_THIN = 3.0
_GAP = 8.0


@dataclass(frozen=True)
class Bar:
    """A row.

    Attributes:
        name: What it is of.
        number: Its length as it is written.
        length: Of the longest that there can be, between 0 and 1.
        inner: The length of a thinner bar within it; None for none.
        details: What is shown under the pointer.
    """

    name: str
    number: str
    length: float
    inner: float | None = None
    details: str = ""


def bars(names: Names, rows: Sequence[Bar]) -> Markup:
    """Draw the rows from top to bottom."""
    drawn = [tag("g", *_draw(row, number * ROW)) for number, row in enumerate(rows)]
    return picture(names, WIDTH, len(rows) * ROW, *drawn)


def _draw(row: Bar, top: float) -> Iterator[Markup]:
    yield tag("title", row.details or f"{row.name}: {row.number}")
    room = WIDTH - width(row.number, _FONT) - _GAP
    name = shorten(row.name, room, _FONT, monospaced=True)
    yield tag("text", name, x=0.0, y=top + _TEXT, class_="name")
    yield tag("text", row.number, x=WIDTH, y=top + _TEXT, text_anchor="end", class_="value")
    yield _bar(WIDTH, top + _BAR, _THICK, "track")
    yield _bar(row.length * WIDTH, top + _BAR, _THICK, "bar")
    if row.inner is not None:
        yield _bar(row.inner * WIDTH, top + _BAR + (_THICK - _THIN) / 2, _THIN, "inner")


def _bar(length: float, y: float, height: float, look: str) -> Markup:
    return tag("rect", x=0.0, y=y, width=min(max(length, 0.0), WIDTH), height=height, class_=look)
