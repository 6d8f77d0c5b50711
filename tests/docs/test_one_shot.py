"""docs/one-shot.md: its code runs from top to bottom."""

from pathlib import Path

import pytest

from graphprune.calibration.layer import Repair
from graphprune.masks.criteria import CRITERIA
from tests.docs.pages import run_page

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "one-shot.md").read_text(encoding="utf-8")


def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_page("one-shot.md")
    assert len(names["result"].layers) == len(names["plan"].weights)
    assert (tmp_path / "pruned.onnx").exists()


@pytest.mark.parametrize("name", [*CRITERIA, *Repair])
def test_every_criterion_and_repair_is_told(name: str) -> None:
    assert f"| `{name}` |" in PAGE or f"* `{name}`: " in PAGE
