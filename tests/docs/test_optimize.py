"""docs/optimize.md: its code runs from top to bottom."""

from pathlib import Path

import pytest

from graphprune.optimization import optimize
from tests.docs.pages import run_page


def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(optimize, "FAMILIES", ())  # whose search has tests of its own, and takes a minute
    names = run_page("optimize.md")
    assert names["report"].recommended in {"dense", "int8"}
    assert (tmp_path / "out" / "report.html").exists()
