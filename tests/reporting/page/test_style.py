"""Colours that can be told from what is behind them, and what paper and telephones need."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from graphprune.reporting import page

STYLE = (Path(page.__file__).parent / "style.css").read_text(encoding="utf-8")
LIGHT, DARK = (
    dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)) for block in STYLE.split("prefers-color-scheme: dark")[:2]
)
THEMES = pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])


def luminance(colour: str) -> float:
    """As WCAG 2 has it."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_both_themes_have_the_same_colours() -> None:
    assert LIGHT.keys() == DARK.keys()
    assert len(LIGHT) >= 9


@THEMES
@pytest.mark.parametrize(("text", "behind"), list(product(("ink", "muted", "blue", "orange"), ("paper", "panel"))))
def test_text_can_be_read(colours: dict[str, str], text: str, behind: str) -> None:
    assert contrast(colours[text], colours[behind]) >= 4.5


@THEMES
@pytest.mark.parametrize(
    ("mark", "behind"), [("bar", "paper"), ("inner", "bar"), ("blue", "paper"), ("orange", "paper")]
)
def test_marks_can_be_seen(colours: dict[str, str], mark: str, behind: str) -> None:
    named = {**colours, "inner": colours["ink"]}
    assert contrast(named[mark], named[behind]) >= 3


def test_every_colour_is_one_of_the_theme() -> None:
    rules = re.sub(r":root \{.*?\}", "", STYLE, flags=re.DOTALL)
    assert re.findall(r"#[0-9a-f]{3,8}\b", rules) == []
    assert set(re.findall(r"var\(--(\w+)\)", rules)) <= LIGHT.keys()


def test_paper_is_light_and_shows_what_is_folded() -> None:
    assert "@media screen and (prefers-color-scheme: dark)" in STYLE
    paper = STYLE.split("@media print")[1]
    assert "details::details-content { content-visibility: visible" in paper
    assert ".scroll { overflow: visible; }" in paper
    assert "break-inside: avoid" in paper
