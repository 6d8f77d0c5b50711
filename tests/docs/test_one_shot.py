"""docs/one-shot.md: its code runs from top to bottom."""

from pathlib import Path

import pytest

from graphprune.analysis.cost import model_cost
from graphprune.calibration.repair import Repair
from graphprune.masks.channel_criteria import FLAP
from graphprune.masks.criteria import CRITERIA
from graphprune.masks.refinement import Refinement
from tests.docs.pages import run_page

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "one-shot.md").read_text(encoding="utf-8")


def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_page("one-shot.md")
    assert len(names["result"].layers) == len(names["plan"].weights)
    assert (tmp_path / "pruned.onnx").exists()
    costs = [model_cost(names[name]).parameters or 0 for name in ("model", "small")]
    assert costs[1] < 0.95 * costs[0]


@pytest.mark.parametrize("name", [*CRITERIA, *Repair, *Refinement, FLAP])
def test_every_criterion_and_repair_is_told(name: str) -> None:
    assert any(form in PAGE for form in (f"| `{name}` |", f"* `{name}`: ", f"--refine {name}", f"--criterion {name}"))
