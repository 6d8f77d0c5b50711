import json
from pathlib import Path

import numpy as np

from graphprune.cli.run import write_arrays
from tests.invoke import assert_refused, invoke
from tests.small_model import TEXT, write

X = np.random.default_rng(1).standard_normal((1, 8, 6, 6)).astype("float32")


def test_given_inputs_are_run_and_outputs_written(tmp_path: Path) -> None:
    model = write(tmp_path / "m.onnx")
    np.save(tmp_path / "x.npy", X)
    outcome = invoke("run", model, "--input", f"x={tmp_path / 'x.npy'}", "--output", tmp_path / "o.npz", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    with np.load(tmp_path / "o.npz", allow_pickle=False) as outputs:
        assert list(outputs) == ["y"]
        y = outputs["y"]
    summary = json.loads(outcome.out)
    assert summary["inputs"] == "given"
    assert summary["outputs"][0]["shape"] == [1, 16, 6, 6]
    assert summary["outputs"][0]["max"] == float(f"{y.max():.6g}")


def test_without_inputs_they_are_drawn_with_the_seed(tmp_path: Path) -> None:
    model = write(tmp_path / "m.onnx")
    first, again, other = (invoke("run", model, "--seed", seed) for seed in (3, 3, 4))
    assert first.code == 0
    assert first.out == again.out != other.out
    assert "drawn at random with seed 3" in first.out


def test_any_name_can_be_written_and_text_is_not_pickled(tmp_path: Path) -> None:
    arrays = {"file": np.ones(2), "a/b:0": np.zeros(0), "words": np.array(["x", "yz"], object)}
    write_arrays(tmp_path / "o.npz", arrays)
    with np.load(tmp_path / "o.npz", allow_pickle=False) as read:
        assert set(read) == set(arrays)
        assert read["words"].tolist() == ["x", "yz"]


def test_an_output_without_numbers_has_no_statistics(tmp_path: Path) -> None:
    text = """<ir_version: 10, opset_import: ["" : 20]>
    g (float[1] x) => (float[1] y, string[1] z) <float[1] zero = {0}, string[1] s = {"a"}> {
        y = Div(zero, zero)  z = Identity(s)  unused = Neg(x)
    }"""
    model = write(tmp_path / "m.onnx", text, unused_weight=np.zeros(1, "float32"))
    outcome = invoke("run", model, "--json")
    assert [output["mean"] for output in json.loads(outcome.out)["outputs"]] == [None, None]


def test_open_dimensions_are_given(tmp_path: Path) -> None:
    text = TEXT.replace("[1,8,6,6]", "[batch,8,h,6]").replace("[1,16,6,6]", "[batch,16,h,6]")
    model = write(tmp_path / "m.onnx", text)
    assert_refused(invoke("run", model), "GP543")
    outcome = invoke("run", model, "--input-shape", "x:2x8x7x6", "--json")
    assert json.loads(outcome.out)["outputs"][0]["shape"] == [2, 16, 7, 6]
