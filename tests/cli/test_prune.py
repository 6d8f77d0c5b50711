import json
from pathlib import Path

import numpy as np

from graphprune.frontends.onnx_file import load
from tests.invoke import invoke
from tests.small_model import write


def zeros(path: Path) -> int:
    tensor = load(path).graph.initializers["w"].const_value
    assert tensor is not None
    return int(np.count_nonzero(tensor.numpy() == 0))


def test_nine_in_ten_go_by_default(tmp_path: Path) -> None:
    outcome = invoke("prune", write(tmp_path / "m.onnx"), tmp_path / "o.onnx", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert zeros(tmp_path / "o.onnx") == round(0.9 * 1152)
    report = json.loads(outcome.out)
    assert [(entry["name"], entry["pruned"]) for entry in report["weights"]] == [("w", 1037)]
    assert report["skips"] == []


def test_options_are_passed_on(tmp_path: Path) -> None:
    options = ["--sparsity", "0.5", "--pattern", "unstructured", "--scope", "global"]
    outcome = invoke("prune", write(tmp_path / "m.onnx"), tmp_path / "o.onnx", *options)
    assert outcome.code == 0
    assert zeros(tmp_path / "o.onnx") == 576
    assert "576 zeros in 1 weights" in outcome.out


def test_a_recipe_says_it_all(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("sparsity: 0.25\ntargets: ['re:w']\n")
    outcome = invoke("prune", write(tmp_path / "m.onnx"), tmp_path / "o.onnx", "--recipe", tmp_path / "r.yaml")
    assert outcome.code == 0
    assert zeros(tmp_path / "o.onnx") == 288


def test_the_input_file_is_untouched_and_an_earlier_output_replaced(tmp_path: Path) -> None:
    model, output = write(tmp_path / "m.onnx"), tmp_path / "o.onnx"
    output.write_bytes(b"earlier")
    before = model.read_bytes()
    assert invoke("prune", model, output).code == 0
    assert model.read_bytes() == before
    assert zeros(output) == 1037
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "o.onnx"]
