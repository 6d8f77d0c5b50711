"""English prose and technical text: the paragraphs of two books that Debian packages, in two halves by page."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from benchmarks.one_shot.sources import Half, Sources

BOOKS = {"anarchism": "usr/share/doc/anarchism/html/sec*.html",
         "debian-handbook": "usr/share/doc/debian-handbook/html/en-US/sect.*.html"}  # fmt: skip
"""Package and pages of each book; the first is essays, the second a manual."""

_SHORTEST = 80
"""Characters of a paragraph; headings, menus and commands are shorter."""
_INLINE = frozenset({"a", "b", "code", "em", "i", "span", "strong", "u"})
_HIDDEN = frozenset({"head", "pre", "script", "style"})


def books(sources: Sources, half: Half) -> list[list[str]]:
    """The paragraphs of each book that are on the pages of a half."""
    return [
        [paragraph for page in sorted(sources.debian(package).glob(pages))[half::2] for paragraph in paragraphs(page)]
        for package, pages in BOOKS.items()
    ]


def paragraphs(page: Path) -> list[str]:
    """The paragraphs of an HTML file as plain text on one line each."""
    reader = _Reader()
    reader.feed(page.read_text(encoding="utf-8", errors="replace"))
    reader.close()
    lines = (" ".join(text.split()) for text in "".join(reader.parts).split(_Reader.BREAK))
    return [line for line in lines if len(line) >= _SHORTEST]


class _Reader(HTMLParser):
    """Collects text, with a break wherever a tag ends a paragraph."""

    BREAK = "\f"

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - as it is called
        self._hidden += tag in _HIDDEN
        self._break_at(tag)

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in _HIDDEN
        self._break_at(tag)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)

    def _break_at(self, tag: str) -> None:
        if tag not in _INLINE:
            self.parts.append(self.BREAK)
