"""Channel groups on the command line."""

import json
from pathlib import Path

import pytest

from graphprune.frontends.onnx_file import save
from tests.invoke import assert_refused, invoke
from tests.planning.channels.channel_model import MODEL
from tests.weighted import inferred_model


@pytest.fixture
def source(tmp_path: Path) -> Path:
    save(inferred_model(MODEL), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def test_groups(source: Path) -> None:
    report = json.loads(invoke("inspect", source, "--groups", "--json").out)
    assert [(each["group"], each["size"]) for each in report["groups"]] == [("w1", 16), ("w2", 24)]
    assert report["groups"][0]["producers"] == ["w1[0:16]"]
    assert [(each["group"], each["code"]) for each in report["blocked"]] == [("w3", "GP370")]
    text = invoke("inspect", source, "--groups").out
    assert "they reach the graph output" in text
    assert "companions" in text


def test_a_weight_is_explained(source: Path) -> None:
    text = invoke("inspect", source, "--explain", "w1").out
    assert "group w1: 16 channels" in text
    assert "makes      w1[0:16]" in text
    assert "reads      w2[:, 0:16]" in text


def test_a_node_is_explained(source: Path) -> None:
    report = json.loads(invoke("inspect", source, "--explain", "conv2", "--json").out)
    assert [each["group"] for each in report["groups"]] == ["w1", "w2"]


def test_what_is_blocked_is_explained(source: Path) -> None:
    assert "[GP370]" in invoke("inspect", source, "--explain", "w3").out


def test_a_gate_is_explained(tmp_path: Path) -> None:
    text = """main (float[N,3] x, float[3,4] w1, float[4,2] w2) => (float[N,2] y) {
        a = MatMul (x, w1) b = Sigmoid (a) y = MatMul (b, w2) }"""
    save(inferred_model(text), tmp_path / "m.onnx")
    assert "[GP379]" in invoke("inspect", tmp_path / "m.onnx", "--explain", "w1").out
    assert "not zero where they are read" in invoke("inspect", tmp_path / "m.onnx", "--groups").out


def test_names_that_say_nothing(source: Path) -> None:
    assert_refused(invoke("inspect", source, "--explain", "nobody"), "GP610")
    assert "no channels of linear weights" in invoke("inspect", source, "--explain", "e").out
