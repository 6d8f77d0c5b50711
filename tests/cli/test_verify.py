import json
from pathlib import Path

from tests.invoke import assert_refused, invoke
from tests.small_model import TEXT, weight, write


def test_equal_files_exit_with_0(tmp_path: Path) -> None:
    model = write(tmp_path / "m.onnx")
    outcome = invoke("verify", model, model, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    report = json.loads(outcome.out)
    assert report["passed"]
    assert report["outputs"][0]["difference"]["mismatches"] == 0


def test_different_files_exit_with_1_and_name_the_node(tmp_path: Path) -> None:
    spoilt = weight()
    spoilt[0, 0, 0, 0] += 0.01
    outcome = invoke("verify", write(tmp_path / "a.onnx"), write(tmp_path / "b.onnx", w=spoilt))
    assert (outcome.code, outcome.err) == (1, "")
    assert "different on 3 cases, seed 0" in outcome.out
    assert "first difference: node 'conv' (Conv), value 'c'" in outcome.out


def test_tolerances_can_be_widened(tmp_path: Path) -> None:
    spoilt = weight() * 1.001
    files = write(tmp_path / "a.onnx"), write(tmp_path / "b.onnx", w=spoilt)
    assert invoke("verify", *files).code == 1
    assert invoke("verify", *files, "--rtol", "0.01", "--atol", "0.01").code == 0


def test_different_interfaces_exit_with_1(tmp_path: Path) -> None:
    other = write(tmp_path / "b.onnx", TEXT.replace("float[1,16,6,6] y", "float[1,16,6,6] c"))
    outcome = invoke("verify", write(tmp_path / "a.onnx"), other)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == "error: outputs are ['c'], expected ['y'] as in the reference [GP565]\n"


def test_an_open_dimension_takes_the_shape_given(tmp_path: Path) -> None:
    model = write(tmp_path / "m.onnx", TEXT.replace("1,8,6,6", "1,8,h,6").replace("1,16,6,6", "1,16,h,6"))
    assert invoke("verify", model, model, "--input-shape", "x:1x8x9x6").code == 0
    assert_refused(invoke("verify", model, model), "open dimensions in input x: float32[1, 8, h, 6]", "[GP543]")
