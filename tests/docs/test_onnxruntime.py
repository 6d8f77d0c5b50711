"""docs/onnxruntime.md: its code runs from top to bottom."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import run_page

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "onnxruntime.md").read_text(encoding="utf-8")


def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_page("onnxruntime.md")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fast.onnx", "fast.so", "larger.onnx", "model.onnx"]
    assert names["probabilities"].shape == (1, 10)


def test_every_code_that_it_names_is_described() -> None:
    errors = (Path(__file__).resolve().parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")
    for code in re.findall(r"GP\d{3}", TEXT):
        assert f"### {code}\n" in errors
