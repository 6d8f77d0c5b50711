"""Names of anybody's files as text of a page: without what cannot be shown, and as wide as there is room."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from functools import cache
from typing import Any

from graphprune.reporting.report import Report

EM = 0.62
"""A letter's width over the height of its font, on the safe side of what sans-serif fonts have on average."""

_MONOSPACED = 0.602
_WIDE = 1.05
_CAPITAL = 0.8
_BOLD = 1.08
_LAST_OF_SCRIPTS = 0xFFFF
_PICTURES = 0x2400  # where Unicode has the signs for control characters, in their order
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
"""Control characters but tabs and line feeds, what turns the direction of text around, and what no XML may hold."""


def printable(report: Report) -> Report:
    """The report with a sign in the place of each character that a page cannot hold or that would disturb others."""
    return Report(**_clean(report.model_dump()))


def _clean(value: Any) -> Any:  # noqa: ANN401 - plain data of any shape
    if isinstance(value, str):
        return _UNSEEN.sub(_sign, value)
    if isinstance(value, dict):
        return {_clean(key): _clean(each) for key, each in value.items()}
    return [_clean(each) for each in value] if isinstance(value, (list, tuple)) else value


def _sign(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(_PICTURES + code) if code < ord(" ") else "\N{REPLACEMENT CHARACTER}"


def width(text: str, height: float, *, bold: bool = False, monospaced: bool = False) -> float:
    """How wide a line is at most in a font of this height, for whatever font a reader has."""
    return height * (_BOLD if bold else 1) * sum(_em(letter, monospaced=monospaced) for letter in text)


@cache
def _em(letter: str, *, monospaced: bool) -> float:
    if unicodedata.east_asian_width(letter) in "WF" or ord(letter) > _LAST_OF_SCRIPTS:
        return _WIDE
    if unicodedata.combining(letter):
        return 0.0
    if monospaced:
        return _MONOSPACED
    return _CAPITAL if letter.isupper() or letter in "mw%@" else EM


def shorten(text: str, room: float, height: float, *, bold: bool = False, monospaced: bool = False) -> str:
    """`text` on one line and no wider than `room`: what is too much goes out of its middle, as names differ at ends."""
    line = " ".join(text.split())

    def needed(kept: int) -> float:
        return width(_without_middle(line, kept), height, bold=bold, monospaced=monospaced)

    fitting = bisect_right(range(1, len(line) + 1), room, key=needed)
    return _without_middle(line, max(fitting, 1))


def _without_middle(line: str, kept: int) -> str:
    if kept >= len(line):
        return line
    return line[: (kept + 1) // 2].rstrip() + "…" + line[len(line) - kept // 2 :].lstrip()
