"""Hardening files: what pruning gives, and the report."""

import json
from pathlib import Path

import pytest

from graphprune.frontends.onnx_file import load
from tests.invoke import assert_refused, invoke
from tests.small_model import unchanged, write
from tests.weighted import weight_of


def masked(folder: Path, *options: str) -> Path:
    outcome = invoke("mask", write(folder / "m.onnx"), folder / "masked.onnx", *options)
    assert outcome.code == 0, outcome
    return folder / "masked.onnx"


@pytest.mark.parametrize("pattern", ["unstructured", "2:4", "block 4x1"])
def test_masked_and_hardened_is_pruned(tmp_path: Path, pattern: str) -> None:
    source = masked(tmp_path, "--pattern", pattern)
    assert invoke("harden", source, tmp_path / "hard.onnx").code == 0
    assert invoke("prune", tmp_path / "m.onnx", tmp_path / "pruned.onnx", "--pattern", pattern).code == 0
    hard, pruned = (weight_of(load(tmp_path / name), "w") for name in ("hard.onnx", "pruned.onnx"))
    assert hard.tobytes() == pruned.tobytes()


def test_the_report(tmp_path: Path) -> None:
    source = masked(tmp_path, "--temperature", "1t2")
    outcome = invoke("harden", source, tmp_path / "hard.onnx")
    assert (outcome.code, outcome.err) == (0, "")
    assert "1037 zeros in 1 weights" in outcome.out
    assert "soft-to-hard gap" in outcome.out
    outcome = invoke("harden", source, tmp_path / "hard.onnx", "--json")
    (entry,) = json.loads(outcome.out)["weights"]
    assert (entry["name"], entry["shape"], entry["zeros"]) == ("w", [16, 8, 3, 3], 1037)
    assert entry["gap"] > 0.1
    assert entry["undecided"] > 0.9


def test_a_ramp_that_has_not_ended_needs_force(tmp_path: Path) -> None:
    source = masked(tmp_path, "--ratio", "0.5")
    with unchanged(tmp_path):
        assert_refused(invoke("harden", source, tmp_path / "hard.onnx"), "the ramp of 'w' has not ended", "GP366")
    assert "1037 zeros" in invoke("harden", source, tmp_path / "hard.onnx", "--force").out


def test_a_dense_model_is_refused(tmp_path: Path) -> None:
    model = write(tmp_path / "m.onnx")
    with unchanged(tmp_path):
        assert_refused(
            invoke("harden", model, tmp_path / "hard.onnx"), "model is in stage dense, expected masked", "GP255"
        )
