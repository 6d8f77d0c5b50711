"""docs/optimize.md: its code runs from top to bottom."""

from pathlib import Path

import pytest

from graphprune.measuring import benchmark
from graphprune.optimization import optimize
from tests.docs.pages import run_page


@pytest.mark.usefixtures("quick_roofline")
def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(benchmark, "FASTEST_MS", 1.0)
    monkeypatch.setattr(optimize, "FAMILIES", ())  # whose search has tests of its own, and takes a minute
    names = run_page("optimize.md")
    assert names["report"].recommended in {"dense", "int8"}
    assert (tmp_path / "out" / "report.html").exists()
