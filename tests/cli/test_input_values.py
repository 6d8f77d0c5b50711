"""`--input-value`: an input that callers never change becomes constant."""

import json
from pathlib import Path

import pytest

from graphprune.cli.options import parse_input_values
from graphprune.errors import InputError
from graphprune.frontends.onnx_file import load
from tests.invoke import assert_refused, invoke
from tests.small_model import unchanged, weight, write

BRANCHES = """<ir_version: 8, opset_import: ["" : 16]>
g (float[1,16] x, int64 sr) => (float[1,16] y) <int64 k = {16000}> {
    c = Equal (sr, k)
    y = If (c) <then_branch = t () => (float[1,16] a) { a = MatMul (x, v) },
                else_branch = e () => (float[1,16] b) { b = MatMul (x, w) }>
}"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "m.onnx", BRANCHES, v=weight((16, 16)), w=-weight((16, 16)))


@pytest.mark.parametrize("command", ["prune", "fold", "mask", "pack"])
def test_commands_that_write_a_model_fix_it(command: str, model: Path) -> None:
    assert invoke(command, model, model.with_name("o.onnx"), "--input-value", "sr=16000").code == 0
    written = load(model.with_name("o.onnx"))
    assert [value.name for value in written.graph.inputs] == ["x"]
    assert not any(node.op_type == "If" for node in written.graph)


def test_weights_of_both_branches_are_pruned_where_it_stays_open(model: Path) -> None:
    output = model.with_name("o.onnx")
    report = json.loads(invoke("prune", model, output, "--sparsity", "0.75", "--json").out)
    assert [(entry["name"], entry["zeros"]) for entry in report["weights"]] == [("v", 192), ("w", 192)]
    assert report["parameters"]["sparsity"] == 0.75
    summary = json.loads(invoke("inspect", output, "--json").out)
    assert [(entry["name"], entry["sparsity"]) for entry in summary["prunable"]] == [("v", 0.75), ("w", 0.75)]
    assert summary["parameters"] == 512
    library = model.with_name("m.so")
    assert invoke("compile", output, library, "--input-value", "sr=8000").code == 0
    assert invoke("verify", output, library, "--input-value", "sr=8000").code == 0


def test_what_is_compiled_is_verified_against_the_file_with_the_same_value(model: Path) -> None:
    library = model.with_name("m.so")
    assert invoke("compile", model, library, "--input-value", "sr=8000").code == 0
    assert invoke("verify", model, library, "--input-value", "sr=8000").code == 0
    assert invoke("verify", model, library, "--input-value", "sr=16000").code == 1
    assert_refused(invoke("verify", model, library, "--input-value", "rate=1"), "input 'rate'", "[GP444]")


def test_what_is_run_has_the_same_constant(model: Path) -> None:
    library = model.with_name("m.so")
    assert invoke("compile", model, library, "--input-value", "sr=16000").code == 0
    outputs = [
        json.loads(invoke("run", *arguments, "--json").out)["outputs"]
        for arguments in ((library,), (model, "--input-value", "sr=16000"), (model, "--input-value", "sr=8000"))
    ]
    means = [output["mean"] for (output,) in outputs]
    assert means[0] == pytest.approx(means[1], abs=1e-5)
    assert means[0] == pytest.approx(-means[2], abs=1e-5)
    assert_refused(invoke("run", library, "--input-value", "sr=16000"), "input 'sr'", "[GP444]")
    assert_refused(invoke("run", model, "--input-value", "rate=1"), "input 'rate'", "[GP444]")


def test_what_is_timed_has_the_same_constant(model: Path) -> None:
    library, few = model.with_name("m.so"), ["--runs", "2", "--warmup", "0", "--json"]
    assert invoke("compile", model, library, "--input-value", "sr=16000").code == 0
    outcome = invoke("bench", library, model, "--against", "onnxruntime", "--input-value", "sr=16000", *few)
    assert (outcome.code, outcome.err) == (0, "")
    labels = [side["label"] for side in json.loads(outcome.out)["timings"]]
    assert labels == [str(library), f"{model} (graphprune)", f"{model} (onnxruntime)"]
    assert_refused(invoke("bench", library, "--input-value", "sr=16000"), "input 'sr'", "[GP444]")


def test_a_value_that_does_not_fit_is_refused_and_nothing_written(model: Path) -> None:
    with unchanged(model.parent):
        outcome = invoke("prune", model, model.with_name("o.onnx"), "--input-value", "sr=0.5")
        assert_refused(outcome, "input 'sr' is of INT64", "[GP441]")


def test_texts_are_read() -> None:
    assert parse_input_values(["sr=16000", "a=b=0.5"]) == {"sr": 16000, "a=b": 0.5}
    assert parse_input_values(None) == {}


@pytest.mark.parametrize("texts", [["sr"], ["=1"], ["sr=loud"], ["sr=1", "sr=2"]])
def test_texts_of_another_form_are_refused(texts: list[str]) -> None:
    with pytest.raises(InputError, match="GP444"):
        parse_input_values(texts)
