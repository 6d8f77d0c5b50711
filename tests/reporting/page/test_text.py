"""Names as text of a page."""

from __future__ import annotations

import pytest

from graphprune.reporting.page.text import printable, shorten, width
from tests.reporting.page.example import candidate, full, report


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\x00b\x1b", "a␀b␛"),
        ("a\rb", "a␍b"),
        ("a\tb\nc", "a\tb\nc"),
        ("a\x7f\x85\u202e\u2028\u2066\ufffeb", "a" + "\ufffd" * 6 + "b"),
        ("größer 重み 🐟", "größer 重み 🐟"),
    ],
)
def test_characters_that_a_page_cannot_hold(name: str, shown: str) -> None:
    cleaned = printable(report(candidate(name, steps=(name,)), recommended=name))
    assert cleaned.candidates[0].name == cleaned.candidates[0].steps[0] == cleaned.recommended == shown


def test_names_of_versions_are_cleaned_too() -> None:
    machine = report().machine.model_copy(update={"versions": {"\x00": "\x01"}})
    assert printable(report(machine=machine)).machine.versions == {"␀": "␁"}


def test_a_report_that_can_be_shown_stays_as_it_is() -> None:
    assert printable(full()) == full()


def test_widths() -> None:
    assert width("", 12) == 0
    assert width("ab", 12) > 0
    assert width("ab", 12, bold=True) > width("ab", 12)
    assert width("AB", 12) > width("ab", 12)
    assert width("重み", 10) >= 20
    assert width("🐟", 10) >= 10
    assert width("e\u0301", 10) == width("e", 10)
    assert width("W" * 10, 10, monospaced=True) == pytest.approx(60.2)


def test_what_fits_is_not_shortened() -> None:
    assert shorten("layer.weight", width("layer.weight", 12), 12) == "layer.weight"


@pytest.mark.parametrize("room", [0, 10, 40, 80, 160])
@pytest.mark.parametrize("style", [{}, {"bold": True}, {"monospaced": True}])
def test_what_does_not_fit_keeps_its_ends(room: float, style: dict[str, bool]) -> None:
    name = "model.layers.17.mlp.down_proj.weight"
    shown = shorten(name, room, 12, **style)
    assert width(shown, 12, **style) <= max(room, width("m…", 12, **style))
    start, end = shown.split("…")
    assert name.startswith(start)
    assert name.endswith(end)
    assert 0 <= len(start) - len(end) <= 1


def test_the_longest_text_that_fits_is_shown() -> None:
    name = "a" * 50
    shown = shorten(name, 120, 12)
    assert width(shown, 12) <= 120 < width(shown + "a", 12)


def test_a_label_is_one_line() -> None:
    assert shorten(" a\n\tb  c ", 1000, 12) == "a b c"
    assert shorten("   ", 10, 12) == ""
