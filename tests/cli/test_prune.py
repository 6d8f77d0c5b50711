import json
import re
from pathlib import Path

import numpy as np

from graphprune.frontends.onnx_file import load, save
from tests.invoke import assert_refused, invoke
from tests.small_model import TEXT, weight, write
from tests.weighted import inferred_model, weight_of


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
    assert "576 of 1,152 parameters are zero (50.0%)" in outcome.out


def test_what_the_file_has_is_reported_though_the_plan_asks_for_less(tmp_path: Path) -> None:
    """Zeros that are there already stay, and are counted; biases and dense weights are parameters too."""
    text = TEXT.replace("Conv <pads = [1,1,1,1]> (x, w)", "Conv <pads = [1,1,1,1]> (x, w, b)")
    sparse = weight()
    sparse.ravel()[:1037] = 0
    model = write(tmp_path / "m.onnx", text, w=sparse, b=np.ones(16, "float32"))
    outcome = invoke("prune", model, tmp_path / "o.onnx", "--sparsity", "0.5")
    assert re.search(r"w +\[16, 8, 3, 3\] +unstructured +576 +1037 +90.0%", outcome.out), outcome.out
    assert "1,037 of 1,168 parameters are zero (88.8%)" in outcome.out
    report = json.loads(invoke("prune", model, tmp_path / "o.onnx", "--sparsity", "0.5", "--json").out)
    assert [(entry["pruned"], entry["zeros"]) for entry in report["weights"]] == [(576, 1037)]
    assert report["parameters"] == {"elements": 1168, "zeros": 1037, "sparsity": 1037 / 1168}


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


def test_channels_are_reordered_first(tmp_path: Path) -> None:
    """The pattern then keeps more of the weights that read them."""
    text = """main (float[N,8] x, float[8,32] w1, float[32,8] w2) => (float[N,8] y) {
        h = MatMul (x, w1) r = Relu (h) y = MatMul (r, w2) }"""
    save(inferred_model(text), tmp_path / "m.onnx")
    assert invoke("prune", tmp_path / "m.onnx", tmp_path / "plain.onnx", "--pattern", "1:4").code == 0
    outcome = invoke("prune", tmp_path / "m.onnx", tmp_path / "ordered.onnx", "--pattern", "1:4", "--permute")
    assert outcome.code == 0
    assert "32 channels reordered: 1:4 keeps" in outcome.out
    plain, ordered = (load(tmp_path / name) for name in ("plain.onnx", "ordered.onnx"))
    assert np.abs(weight_of(ordered, "w2")).sum() > 1.02 * np.abs(weight_of(plain, "w2")).sum()
    assert np.count_nonzero(weight_of(ordered, "w2")) == 64
    report = invoke("prune", tmp_path / "m.onnx", tmp_path / "o.onnx", "--pattern", "1:4", "--permute", "--json").out
    assert list(json.loads(report)["orders"]) == ["w1"]


def test_an_order_is_for_groups_of_channels(tmp_path: Path) -> None:
    source = write(tmp_path / "m.onnx")
    outcome = invoke("prune", source, tmp_path / "o.onnx", "--permute")
    assert_refused(outcome, "GP386")
    assert not (tmp_path / "o.onnx").exists()


def test_groups_are_spelled_out(tmp_path: Path) -> None:
    source = write(tmp_path / "m.onnx")
    out = invoke("prune", source, tmp_path / "o.onnx", "--pattern", "2:4").out
    assert "2:4: keep 2 of 4 along input channels\n" in out
    out = invoke("prune", source, tmp_path / "o.onnx", "--pattern", "1:4x4").out
    assert "1:4x4: keep 1 of 4 along input channels, the same ones for 4 neighbouring outputs\n" in out
