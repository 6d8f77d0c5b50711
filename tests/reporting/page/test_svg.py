"""Elements of pictures."""

from __future__ import annotations

from graphprune.reporting.page.svg import Names, line, picture, tag
from tests.reporting.page.document import parse
from tests.reporting.page.example import HOSTILE


def test_attributes() -> None:
    assert tag("text", "a", x=1.0, y=2.34567, text_anchor="end", class_="b") == (
        '<text x="1" y="2.35" text-anchor="end" class="b">a</text>'
    )
    assert line(1, 2, 3, 4, class_="grid") == '<line x1="1" y1="2" x2="3" y2="4" class="grid"></line>'


def test_no_number_has_an_exponent() -> None:
    assert tag("a", x=123456.789, y=0.0000001) == '<a x="123456.79" y="0"></a>'


def test_names_are_escaped() -> None:
    shown = [name for name in HOSTILE if "\x00" not in name]
    for name in shown:
        drawn = parse(tag("text", name, aria_label=name))
        assert drawn.text == (name or None)
        assert drawn.get("aria-label") == name


def test_elements_within_elements_are_not() -> None:
    assert tag("g", tag("title", "<"), "<") == "<g><title>&lt;</title>&lt;</g>"


def test_a_picture_says_what_it_shows() -> None:
    drawn = parse(picture(Names("p", "Title", "All of it"), 10, 20, line(0, 0, 1, 1)))
    assert drawn.get("role") == "img"
    assert [drawn.find(f".//*[@id='{name}']") is not None for name in drawn.get("aria-labelledby", "").split()] == [
        True
    ] * 2
    assert [(each.tag, each.text) for each in drawn][:2] == [("title", "Title"), ("desc", "All of it")]
    assert drawn.get("viewBox") == "0 0 10 20"
