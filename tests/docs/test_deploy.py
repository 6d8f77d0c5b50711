"""docs/deploy.md: its code runs from top to bottom, and what it says of commands and codes is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import graphprune as gp
from tests.backends.tvm.graphs import parse, pruned

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
MODEL = """g (float[batch,3,32,32] image) => (float[batch,10] scores) {
    c = Conv <strides = [4,4]> (image, w) r = Relu (c) p = GlobalAveragePool (r) f = Flatten (p)
    scores = MatMul (f, v) }"""


def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    gp.compile(parse(MODEL, {"w": pruned(16, 3, 4, 4), "v": (16, 10)}), threads=2).save("model.so")
    names: dict[str, Any] = {}
    blocks = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 6
    for block in blocks:
        exec(compile(block, "docs/deploy.md", "exec"), names)  # noqa: S102 - our own page
    said = re.search(r"print\(error\)  # (.*)", TEXT)
    assert said
    assert capsys.readouterr().out == said[1] + "\n"
    assert len(names["results"]) == 32


def test_codes_are_described() -> None:
    errors = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    for code in re.findall(r"GP\d{3}", TEXT):
        assert f"### {code}\n" in errors
