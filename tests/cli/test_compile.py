import json
import re
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from graphprune.errors import InputError
from graphprune_runtime.loading import load_session
from tests.compiler.exported import assert_same, session_of
from tests.invoke import assert_refused, invoke
from tests.small_model import TEXT, unchanged, weight, write


def test_a_pruned_file_compiles_runs_and_verifies(tmp_path: Path) -> None:
    pruned, compiled = tmp_path / "p.onnx", tmp_path / "m.so"
    assert invoke("prune", write(tmp_path / "m.onnx"), pruned).code == 0
    outcome = invoke("compile", pruned, compiled)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"{compiled}: ")
    assert invoke("verify", pruned, compiled).code == 0
    assert invoke("verify", tmp_path / "m.onnx", compiled).code == 1
    assert "y" in invoke("run", compiled).out


def test_open_dimensions_are_given(tmp_path: Path) -> None:
    text = TEXT.replace("[1,8,6,6]", "[batch,8,6,6]").replace("[1,16,6,6]", "[batch,16,6,6]")
    model = write(tmp_path / "m.onnx", text)
    options = ["--input-shape", "x:2x8x6x6", "--target", "x86-64-v3"]
    assert invoke("compile", model, tmp_path / "m.so", *options).code == 0
    assert "[2, 16, 6, 6]" in invoke("run", tmp_path / "m.so").out


def test_kernels_are_explained(tmp_path: Path) -> None:
    pruned = tmp_path / "p.onnx"
    assert invoke("prune", write(tmp_path / "m.onnx"), pruned).code == 0
    outcome = invoke("compile", pruned, tmp_path / "m.so", "--explain")
    assert outcome.code == 0
    assert "of the dense kernel's time" in outcome.out
    assert "batch: at once: there is no batch" in outcome.out
    assert "dense kernel" not in invoke("compile", pruned, tmp_path / "m.so").out


def test_json_describes_what_was_compiled(tmp_path: Path) -> None:
    pruned, compiled = tmp_path / "p.onnx", tmp_path / "m.so"
    assert invoke("prune", write(tmp_path / "m.onnx"), pruned).code == 0
    outcome = invoke("compile", pruned, compiled, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    described = json.loads(outcome.out)
    assert (described["output"], described["bytes"]) == (str(compiled), compiled.stat().st_size)
    assert described["inputs"] == [{"name": "x", "dtype": "float32", "shape": [1, 8, 6, 6]}]
    (program,) = described["programs"]
    assert program["inputs"] == described["inputs"]
    assert program["batch"]["samples"] == 1
    assert [set(note) for note in program["kernels"]] == [{"node", "kernel", "why", "eligible"}]
    assert all(call["nbytes"] > 0 for call in program["calls"])


@pytest.mark.usefixtures("quick_roofline")
def test_every_set_of_shapes_is_a_program(tmp_path: Path) -> None:
    model, compiled = write(tmp_path / "m.onnx", TEXT.replace("float[1,", "float[n,")), tmp_path / "m.so"
    shapes = ["--input-shape", "x:1x8x6x6,3x8x6x6"]
    described = json.loads(invoke("compile", model, compiled, *shapes, "--json").out)
    assert [program["inputs"][0]["shape"][0] for program in described["programs"]] == [1, 3]
    explained = invoke("compile", model, compiled, *shapes, "--explain").out
    assert explained.count("batch: ") == 2
    assert "for x: float32[3, 8, 6, 6]" in explained
    assert "[3, 16, 6, 6]" in invoke("run", compiled, "--input-shape", "x:3x8x6x6").out
    assert_refused(invoke("run", compiled, "--input-shape", "x:2x8x6x6"), "was not compiled for x 2x8x6x6", "[GP519]")
    assert invoke("bench", compiled, "--input-shape", "x:3x8x6x6", "--runs", "2", "--profile").code == 0


@pytest.mark.usefixtures("quick_roofline")
def test_an_open_batch_needs_no_shape(tmp_path: Path) -> None:
    model, compiled = write(tmp_path / "m.onnx", TEXT.replace("float[1,", "float[n,")), tmp_path / "m.so"
    outcome = invoke("compile", model, compiled, "--explain")
    assert "batch: any number of samples, one after another: their number is open" in outcome.out
    assert "equal on 3 cases" in invoke("verify", model, compiled).out
    assert "[5, 16, 6, 6]" in invoke("run", compiled, "--input-shape", "x:5x8x6x6").out
    assert invoke("bench", compiled, "--input-shape", "x:4x8x6x6", "--runs", "2", "--profile").code == 0


def test_for_onnxruntime(tmp_path: Path) -> None:
    exported, library = tmp_path / "out.onnx", tmp_path / "out.so"
    outcome = invoke("compile", write(tmp_path / "m.onnx"), exported, "--for", "onnxruntime", "--threads", "2")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"{exported} and {library}: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "out.onnx", "out.so"]
    assert invoke("verify", tmp_path / "m.onnx", library).code == 0
    x = np.random.default_rng(0).standard_normal((1, 8, 6, 6)).astype(np.float32)
    assert_same(session_of(exported).run(None, {"x": x}), load_session(library, 2).run(None, {"x": x}))


def test_json_of_what_was_compiled_for_onnxruntime(tmp_path: Path) -> None:
    exported = tmp_path / "out.onnx"
    outcome = invoke("compile", write(tmp_path / "m.onnx"), exported, "--for", "onnxruntime", "--json")
    described = json.loads(outcome.out)
    assert described["output"] == str(exported)
    assert described["bytes"] == exported.stat().st_size + exported.with_suffix(".so").stat().st_size


def test_what_for_refuses(tmp_path: Path) -> None:
    model = write(tmp_path / "m.onnx")
    with unchanged(tmp_path):
        outcome = invoke("compile", model, tmp_path / "o.onnx", "--for", "openvino")
        assert_refused(outcome, "--for is 'openvino', expected onnxruntime [GP620]")
        assert_refused(
            invoke("compile", model, tmp_path / "o.so", "--for", "onnxruntime"), "'.so', expected .onnx [GP602]"
        )
        assert_refused(invoke("compile", model, tmp_path / "o.onnx"), "'.onnx', expected .so", "GP602")
        assert_refused(invoke("compile", model, model, "--for", "onnxruntime"), "is the input file [GP604]")


def test_files_to_link_statically(tmp_path: Path) -> None:
    for suffix, start in ((".a", b"!<arch>\n"), (".o", b"\x7fELF")):
        outcome = invoke("compile", write(tmp_path / "m.onnx"), tmp_path / f"m{suffix}")
        assert (outcome.code, outcome.err) == (0, "")
        assert (tmp_path / f"m{suffix}").read_bytes().startswith(start)
    outcome = invoke("run", tmp_path / "m.a")
    assert outcome.code == 2


def test_zeros_that_save_no_time_are_warned_about(tmp_path: Path) -> None:
    text = TEXT.replace("float[", "double[")
    sparse = weight().astype("float64")
    sparse.ravel()[: sparse.size * 9 // 10] = 0
    model = write(tmp_path / "m.onnx", text, w=sparse)
    outcome = invoke("compile", model, tmp_path / "m.so")
    why = f"no sparse kernel takes double of shape {list(sparse.shape)} [GP354]"
    warning = f"node 'conv' (Conv): 89.9% of weight 'w' is zero, and it runs dense: {why}"
    assert f"warning: {warning}\n" in outcome.out
    assert json.loads(invoke("compile", model, tmp_path / "m.so", "--json").out)["warnings"] == [warning]


LOOSE = """<ir_version: 10, opset_import: ["" : 20]>
graph (float[1,8,6,6] x) => (int64[4,n] y, float[1,16,6,6] r) {
    c = Conv <pads = [1,1,1,1]> (x, w) r = Relu (c) y = NonZero (r) }"""


def test_what_falls_back_is_listed_with_its_share(tmp_path: Path) -> None:
    model, compiled = write(tmp_path / "m.onnx", LOOSE), tmp_path / "m.so"
    assert_refused(invoke("compile", model, compiled), "cannot lower 1 nodes (--fallback onnxruntime runs them there)")
    outcome = invoke("compile", model, compiled, "--fallback", "onnxruntime")
    assert (outcome.code, outcome.err) == (0, "")
    said = "1 nodes run on ONNX Runtime in 1 piece(s) beside 1 of code; its share of the time: "
    assert re.search(re.escape(said) + r"\d+% on random input", outcome.out)
    for shown in (outcome.out, invoke("inspect", compiled).out):
        assert re.search(r"NonZero .*there is no kernel for this operator", shown)
    assert invoke("verify", model, compiled).code == 0
    assert "onnxruntime" in invoke("bench", compiled, "--profile", "--runs", 3).out
    assert invoke("bench", model, "--fallback", "onnxruntime", "--runs", 3).code == 0


def test_what_falls_back_is_described(tmp_path: Path) -> None:
    model, compiled = write(tmp_path / "m.onnx", LOOSE), tmp_path / "m.so"
    described = json.loads(invoke("compile", model, compiled, "--fallback", "onnxruntime", "--json").out)
    assert 0 < described["hosted_share"] < 1
    code, hosted = described["programs"][0]["pieces"]
    assert (code["runs_on"], hosted["runs_on"]) == ("code", "onnxruntime")
    assert [node["operator"] for node in hosted["nodes"]] == ["NonZero"]
    assert json.loads(invoke("inspect", compiled, "--json").out)["programs"][0]["pieces"] == [code, hosted]


def test_a_share_that_cannot_be_measured_is_said(tmp_path: Path) -> None:
    model = write(tmp_path / "m.onnx", LOOSE)
    with patch("graphprune.measuring.hosted.hosted_share", side_effect=InputError("no run", code="GP515")):
        outcome = invoke("compile", model, tmp_path / "m.so", "--fallback", "onnxruntime")
    assert "its share of the time: not measured: no run [GP515]" in outcome.out


def test_fallback_and_an_operator_do_not_go_together(tmp_path: Path) -> None:
    options = ["--fallback", "onnxruntime", "--for", "onnxruntime"]
    outcome = invoke("compile", write(tmp_path / "m.onnx", LOOSE), tmp_path / "o.onnx", *options)
    assert_refused(outcome, "not together with --for onnxruntime", "[GP498]")
