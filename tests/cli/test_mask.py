"""`mask` and `harden`: soft masks into a file and out of it, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import graphprune as gp
from graphprune.stages import Stage, get_stage
from tests.invoke import invoke
from tests.small_model import unchanged, write


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "dense.onnx")


def zeros(path: Path) -> int:
    tensor = gp.load(path).graph.initializers["w"].const_value
    assert tensor is not None
    return int((tensor.numpy() == 0).sum())


@pytest.mark.parametrize(("pattern", "count"), [("unstructured", 1037), ("1:4", 864), ("block 4x1", 1036)])
def test_a_masked_file_runs_anywhere_and_hardens_to_what_prune_gives(source: Path, pattern: str, count: int) -> None:
    masked, hard, pruned = (source.with_name(f"{name}.onnx") for name in ("masked", "hard", "pruned"))
    outcome = invoke("mask", source, masked, "--pattern", pattern, "--temperature", "0.1t2")
    assert outcome.code == 0, outcome
    assert get_stage(gp.load(masked)) is Stage.MASKED
    feed = {"x": np.random.default_rng(0).standard_normal((1, 8, 6, 6)).astype(np.float32)}
    dense_out, soft_out = (onnxruntime.InferenceSession(str(path)).run(None, feed)[0] for path in (source, masked))
    assert not np.allclose(dense_out, soft_out)
    assert invoke("harden", masked, hard).code == 0
    assert invoke("prune", source, pruned, "--pattern", pattern).code == 0
    assert zeros(hard) == zeros(pruned) == count
    assert invoke("verify", hard, pruned).code == 0


def test_json_says_what_was_hidden(source: Path) -> None:
    masked, hard = source.with_name("masked.onnx"), source.with_name("hard.onnx")
    shown = json.loads(invoke("mask", source, masked, "--sparsity", "0.5", "--json").out)
    assert (shown["temperature"], shown["ratio"], shown["weights"][0]["pruned"]) == ("0.0001", 1.0, 576)
    (weight,) = json.loads(invoke("harden", masked, hard, "--json").out)["weights"]
    assert weight["zeros"] == 576
    assert 0 < weight["gap"] < 1


def test_a_recipe_gives_the_temperature(source: Path, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("sparsity: 0.5\ntraining: {temperature: 0.2t2, schedule: {length: 3}}\n")
    shown = json.loads(invoke("mask", source, tmp_path / "m.onnx", "--recipe", tmp_path / "r.yaml", "--json").out)
    assert shown["temperature"] == "0.2t2"


def test_an_unfinished_ramp_is_hardened_only_by_force(source: Path) -> None:
    masked, hard = source.with_name("masked.onnx"), source.with_name("hard.onnx")
    assert invoke("mask", source, masked, "--ratio", "0.5").code == 0
    with unchanged(source.parent):
        outcome = invoke("harden", masked, hard)
    assert outcome.code == 2
    assert "[GP36" in outcome.err
    assert invoke("harden", masked, hard, "--force").code == 0
    assert zeros(hard) == 1037


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--temperature", "warm"), "GP328"), (("--ratio", "1.5"), "GP36"), (("--pattern", "3:2"), "GP327")],
)
def test_what_is_wrong_is_named_and_nothing_is_written(source: Path, arguments: tuple[str, ...], message: str) -> None:
    with unchanged(source.parent):
        outcome = invoke("mask", source, source.with_name("masked.onnx"), *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_dense_file_has_nothing_to_harden(source: Path) -> None:
    outcome = invoke("harden", source, source.with_name("hard.onnx"))
    assert outcome.code == 2
    assert "model is in stage dense, expected masked [GP255]" in outcome.err
