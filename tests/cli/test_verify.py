import json
from pathlib import Path

from graphprune.frontends.onnx_file import save
from tests.invoke import assert_refused, invoke
from tests.small_model import TEXT, weight, write
from tests.verification import integers


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


def test_quantized_files_are_compared_in_levels(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.onnx", "b.onnx", "c.onnx")]
    moved, wrong = integers.reordered(by=2.0**-16), integers.a_level_off("k")
    for path, graph in zip(
        files, (integers.model(), integers.model(moved), integers.model(changed=wrong)), strict=True
    ):
        save(graph, path)
    same = invoke("verify", *files[:2], "--cases", 20)
    assert (same.code, same.err) == (0, "")
    assert "held to ties" in same.out
    assert "elements of 3 quantized values differ, by at most 1" in same.out
    assert "the first: node 'q2' (QuantizeLinear), value 'e'" in same.out
    assert "warning: output 'y' differs by no more than ties of rounding to integers explain: " in same.out
    other = invoke("verify", files[0], files[2])
    assert (other.code, other.err) == (1, "")
    assert "different: value 'i', computed from the reference's integers, differs by one level in" in other.out
    assert "first difference: node 'd4' (DequantizeLinear), value 'u'" in other.out
    report = json.loads(invoke("verify", files[0], files[2], "--json").out)
    assert (report["quantized"]["values"], report["quantized"]["most_levels"]) == (3, 1)
    assert report["outputs"][0]["difference"]["ties"]["runs"] == 16
