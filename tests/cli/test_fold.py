"""Folding files: what is left, what stays and why."""

import json
from pathlib import Path

import numpy as np
import pytest

from graphprune.frontends.onnx_file import load, save
from tests.invoke import assert_refused, invoke
from tests.planning.channels.channel_model import MODEL
from tests.small_model import unchanged
from tests.weighted import inferred_model, weight_of


@pytest.fixture
def source(tmp_path: Path) -> Path:
    variance = np.linspace(0.5, 2, 16, dtype=np.float32)
    save(inferred_model(MODEL, {"w_var": variance}), tmp_path / "m.onnx")
    outcome = invoke("prune", tmp_path / "m.onnx", tmp_path / "zeros.onnx", "--pattern", "channel", "--no-fold")
    assert outcome.code == 0, outcome
    return tmp_path / "zeros.onnx"


def test_pruned_and_folded_later_is_pruned_and_folded(source: Path) -> None:
    outcome = invoke("fold", source, source.with_name("small.onnx"))
    assert (outcome.code, outcome.err) == (0, "")
    assert "8 of 16 channels (50.0%)" in outcome.out
    assert invoke("prune", source.with_name("m.onnx"), source.with_name("o.onnx"), "--pattern", "channel").code == 0
    one, other = (load(source.with_name(name)) for name in ("small.onnx", "o.onnx"))
    assert weight_of(one, "w2").tobytes() == weight_of(other, "w2").tobytes()
    assert invoke("verify", source, source.with_name("small.onnx")).code == 0


def test_the_report(source: Path) -> None:
    report = json.loads(invoke("fold", source, source.with_name("small.onnx"), "--json").out)
    assert [each["group"] for each in report["groups"]] == ["w1", "w2"]
    assert report["skips"] == []
    weight = weight_of(load(source), "w1")[report["channel_map"]["w1"]]
    assert weight.tobytes() == weight_of(load(source.with_name("small.onnx")), "w1").tobytes()
    assert report["macs"]["after"] < 0.5 * report["macs"]["before"]


def test_nothing_is_zero(source: Path) -> None:
    outcome = invoke("fold", source.with_name("m.onnx"), source.with_name("small.onnx"))
    assert "no channel is zero" in outcome.out
    assert "(100.0%)" in outcome.out


def test_what_stays_says_why(source: Path) -> None:
    text = "main (float[N,3] x, float[3,4] w1) => (float[N,4] y) { y = MatMul (x, w1) }"
    save(inferred_model(text, {"w1": np.eye(3, 4, dtype=np.float32)}), source.with_name("b.onnx"))
    outcome = invoke("fold", source.with_name("b.onnx"), source.with_name("small.onnx"), "--json")
    (skip,) = json.loads(outcome.out)["skips"]
    assert (skip["code"], skip["node"]) == ("GP370", "w1")
    assert "GP370" in invoke("fold", source.with_name("b.onnx"), source.with_name("small.onnx")).out


def test_what_static_shapes_decide_is_computed_first(source: Path) -> None:
    text = """main (float[2,3] x, float[3,4] w1, float[4,2] w2) => (float[2,2] y) {
        zero = Constant <value = int64[1] {0}> () one = Constant <value = int64[1] {1}> ()
        a = MatMul (x, w1) s = Shape <start = 1> (a) b = Slice (a, zero, s, one) y = MatMul (b, w2) }"""
    save(inferred_model(text), source.with_name("s.onnx"))
    report = json.loads(
        invoke("prune", source.with_name("s.onnx"), source.with_name("o.onnx"), "--pattern", "channel", "--json").out
    )
    assert report["folded"]["groups"] == [{"group": "w1", "what": "2 of 4 channels (50.0%) removed from 2 constants"}]


def test_bad_input_leaves_nothing_behind(source: Path) -> None:
    with unchanged(source.parent):
        assert_refused(invoke("fold", source, source), "")
        assert_refused(invoke("fold", source.with_name("none.onnx"), source.with_name("o.onnx")), "none.onnx")
        assert_refused(invoke("fold", source, source.with_name("o.txt")), ".onnx")
