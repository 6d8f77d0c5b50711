"""Paragraphs of HTML pages."""

from pathlib import Path

from benchmarks.one_shot.texts import paragraphs

LONG = "There is a paragraph of words here, and it goes on until it is long enough to be one of prose"


def test_long_paragraphs_are_kept_without_marks_and_breaks(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    first, second = LONG.split(", ")
    page.write_text(
        f"<head><style>{LONG}</style></head><h1>Heading</h1><p>{first},\n  <b>{second}</b></p><pre>{LONG}</pre>"
    )
    assert paragraphs(page) == [LONG]


def test_neighbours_are_apart(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(f"<div>{LONG}<p>{LONG}&amp;</div>")
    assert paragraphs(page) == [LONG, f"{LONG}&"]
