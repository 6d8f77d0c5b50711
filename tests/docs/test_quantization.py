"""docs/quantization.md: its code runs from top to bottom."""

import re
from pathlib import Path
from typing import Any

import pytest

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "quantization.md").read_text(encoding="utf-8")


def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL):
        exec(compile(block, "docs/quantization.md", "exec"), names)  # noqa: S102 - our own page
    assert len(names["result"].rewrites) > 10
    assert (tmp_path / "integers.onnx").exists()
