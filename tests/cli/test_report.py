"""`graphprune report`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from graphprune.frontends.onnx_file import save
from graphprune.measuring import benchmark
from tests.allocation.network import feeds, network
from tests.invoke import Outcome, assert_refused, invoke

pytestmark = pytest.mark.usefixtures("quick_roofline")


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    save(network(), tmp_path / "m.onnx")
    np.savez(tmp_path / "data.npz", x=np.stack([feed["x"] for feed in feeds(24)]))
    return tmp_path / "m.onnx"


@pytest.fixture(autouse=True)
def _few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "FASTEST_MS", 1.0)


def report(dense: Path, *arguments: object) -> Outcome:
    return invoke("report", dense, *arguments, "--input", dense.with_name("data.npz"), "--metric", "closeness")


def test_a_page_of_pruned_files(dense: Path) -> None:
    pruned, page = dense.with_name("p.onnx"), dense.with_name("r.html")
    assert invoke("prune", dense, pruned, "--sparsity", 0.5).code == 0
    outcome = report(dense, pruned, "-o", page)
    assert outcome.code == 0
    assert all(step in outcome.err for step in (str(dense), str(pruned)))
    assert "1 less the relative error" in outcome.out
    assert outcome.out.endswith(f"{page}: the same as a page\n")
    text = page.read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert "p.onnx" in text
    found = json.loads(report(dense, pruned, "-o", page, "--json").out)
    assert [each["name"] for each in found["candidates"]] == [str(pruned)]


def test_another_name_than_that_of_a_page_is_refused(dense: Path) -> None:
    assert_refused(report(dense, dense, "-o", dense.with_name("r.pdf")), "GP602", "expected .html")


def test_a_model_that_is_given_twice_is_refused(dense: Path) -> None:
    assert_refused(report(dense, dense, "-o", dense.with_name("r.html")), "GP605", "a model is given twice")
    assert not dense.with_name("r.html").exists()
