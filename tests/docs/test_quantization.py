"""docs/quantization.md: its code runs from top to bottom."""

from pathlib import Path

import pytest

from tests.docs.pages import run_page


def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_page("quantization.md")
    assert len(names["result"].rewrites) > 10
    assert (tmp_path / "integers.onnx").exists()
