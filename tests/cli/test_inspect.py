import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.cli.inspect import describe_model
from graphprune.frontends.onnx_file import load
from graphprune.passes.fingerprint import digest
from tests.invoke import assert_refused, invoke
from tests.small_model import TEXT, weight, write

OPEN = """<ir_version: 10, opset_import: ["" : 20]>
g (float[batch,4,length] x) => (float[batch,4,length] y, float[batch,4,length] z) { y = Relu(x)  z = MatMul(y, y) }"""


def test_everything_is_told(tmp_path: Path) -> None:
    sparse = weight()
    sparse[:4] = 0
    outcome = invoke("inspect", write(tmp_path / "m.onnx", w=sparse), "--json")
    assert (outcome.code, outcome.err) == (0, "")
    summary = json.loads(outcome.out)
    assert summary["inputs"] == ["x: float32[1, 8, 6, 6]"]
    assert summary["outputs"] == ["y: float32[1, 16, 6, 6]"]
    assert summary["operators"] == {"Conv": {"count": 1, "macs": 41472}, "Relu": {"count": 1, "macs": 0}}
    assert (summary["parameters"], summary["macs"], summary["stage"]) == (1152, 41472, "dense")
    assert summary["prunable"] == [
        {
            "name": "w",
            "node": "conv",
            "operator": "Conv",
            "shape": [16, 8, 3, 3],
            "sparsity": 0.25,
            "nonfinite": 0,
            "pattern": "block 4x4",
            "layout": "dense",
            "bytes": 4608,
        }
    ]
    assert summary["packed"] == []


def test_the_table_says_the_same(tmp_path: Path) -> None:
    out = invoke("inspect", write(tmp_path / "m.onnx")).out
    for fragment in (
        "1,152 parameters",
        "41,472 multiply-accumulates",
        "x: float32[1, 8, 6, 6]",
        "[16, 8, 3, 3]",
        "0.0%",
    ):
        assert fragment in out


def test_the_pattern_of_a_weight_is_told(tmp_path: Path) -> None:
    sparse = weight()
    sparse[:, ::4] = sparse[:, 1::4] = 0
    path = write(tmp_path / "m.onnx", w=sparse)
    assert json.loads(invoke("inspect", path, "--json").out)["prunable"][0]["pattern"] == "2:4"
    matrix = "g (float[5,64] x) => (float[5,64] y) { y = MatMul (x, w) }"
    columns = np.zeros((64, 64), np.float32)
    columns[8 * np.arange(8)[:, None] + np.arange(64) % 8, np.arange(64)] = 1  # input channels are the rows
    write(path, TEXT.split("\n", maxsplit=1)[0] + matrix, w=columns)
    assert json.loads(invoke("inspect", path, "--json").out)["prunable"][0]["pattern"] == "1:8"


@pytest.mark.parametrize(("layout", "stored"), [("rows", 8 * 576 + 4 * 17), ("2:4", 4 * 576 + 144)])
def test_the_weights_of_a_packed_file_are_told(tmp_path: Path, layout: str, stored: int) -> None:
    sparse = weight()
    sparse[:, ::4] = sparse[:, 1::4] = 0
    packed = tmp_path / "packed.onnx"
    options = ("--layout", layout, "--min-sparsity", "0.5")
    assert invoke("pack", write(tmp_path / "m.onnx", w=sparse), packed, *options).code == 0
    summary = json.loads(invoke("inspect", packed, "--json").out)
    assert summary["packed"] == [
        {
            "name": "w",
            "node": "conv",
            "operator": "Conv",
            "shape": [16, 8, 3, 3],
            "layout": layout,
            "sparsity": 0.5,
            "pattern": "2:4",
            "stored_bytes": stored,
            "dense_bytes": 4608,
        }
    ]
    assert (summary["prunable"], summary["not_prunable"], summary["stage"]) == ([], [], "packed")
    out = invoke("inspect", packed).out
    assert f"{stored:,}" in out
    assert layout in out


def test_what_is_not_prunable_says_why(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", TEXT.replace("1,8,6,6", "1,3,6,6"), w=weight((16, 3, 3, 3)))
    summary = json.loads(invoke("inspect", path, "--json").out)
    assert summary["prunable"] == []
    assert [(skip["node"], skip["code"]) for skip in summary["not_prunable"]] == [("w", "GP303")]
    assert "3 input channels, fewer than 8" in invoke("inspect", path).out


def test_values_that_are_not_finite_are_counted(tmp_path: Path) -> None:
    spoilt = weight()
    spoilt[0, 0, 0, :2] = np.nan, np.inf
    summary = json.loads(invoke("inspect", write(tmp_path / "m.onnx", w=spoilt), "--json").out)
    assert summary["prunable"][0]["nonfinite"] == 2


def test_a_batch_counts_as_one_and_other_open_dimensions_as_unknown() -> None:
    summary = describe_model(ir.from_onnx_text(OPEN.replace("length", "4")))
    assert summary["macs"] == 4 * 4 * 4
    assert describe_model(ir.from_onnx_text(OPEN))["macs"] is None


def test_operators_that_nobody_here_knows_are_listed(tmp_path: Path) -> None:
    text = (
        '<ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1]>'
        """
    g (float[1,8] x) => (float[1,16] y) { [act] a = com.microsoft.QuickGelu (x)  b = Reluu (a)  y = MatMul (b, w) }"""
    )
    path = write(tmp_path / "m.onnx", text, w=weight((8, 16)))
    summary = json.loads(invoke("inspect", path, "--json").out)
    assert summary["opaque"] == ["node 'act' (QuickGelu)", "node 'b' (Reluu)"]
    assert summary["operators"]["com.microsoft.QuickGelu"] == {"count": 1, "macs": None}
    assert [entry["name"] for entry in summary["prunable"]] == ["w"]
    assert "node 'act' (QuickGelu)" in invoke("inspect", path).out
    assert "opaque" not in invoke("inspect", write(tmp_path / "n.onnx")).out


def test_it_starts_without_compilers(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom graphprune.cli.app import app\n"
        "try: app(['inspect', sys.argv[1]])\n"
        "except SystemExit: print(sorted({'torch', 'tvm', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(write(tmp_path / "m.onnx"))], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("[]\n")


def test_a_compiled_file_says_what_it_is(tmp_path: Path) -> None:
    model, library = write(tmp_path / "m.onnx"), tmp_path / "m.so"
    assert invoke("prune", model, tmp_path / "p.onnx").code == 0
    assert invoke("compile", tmp_path / "p.onnx", library, "--threads", "2").code == 0
    outcome = invoke("inspect", library)
    assert outcome.code == 0
    for fragment in (f"{library}: compiled for x86-64-v", "2 thread(s), format 9", "90.0% of them zero", "at once"):
        assert fragment in outcome.out
    data = json.loads(invoke("inspect", library, "--json").out)
    assert data["stage"] == "compiled"
    assert data["origin"]["tool"].startswith("graphprune ")
    assert data["origin"]["fingerprint"] == digest(load(tmp_path / "p.onnx")) != digest(load(model))
    assert data["origin"]["zeros"] > 0.8 * data["origin"]["parameters"]
    assert data["inputs"] == ["x: float32[1, 8, 6, 6]"]


def test_compiled_code_has_no_channels(tmp_path: Path) -> None:
    library = tmp_path / "m.so"
    assert invoke("compile", write(tmp_path / "m.onnx"), library).code == 0
    assert_refused(invoke("inspect", library, "--groups"), "is compiled code", "[GP614]")
    library.write_bytes(library.read_bytes()[:-1])
    assert_refused(invoke("inspect", library), "was cut", "[GP410]")


@pytest.mark.parametrize(("kind", "zero"), [("int8", 0), ("uint8", 128)])
def test_integers_that_are_their_zero_point_are_zeros_in_a_pattern_too(kind: str, zero: int) -> None:
    text = f"""<ir_version: 10, opset_import: ["" : 21]>
    g (float[1,8] x) => (float[1,4] y) <float s = {{0.1}}, {kind} z = {{{zero}}}> {{
        d = DequantizeLinear (w, s, z)
        y = MatMul (x, d)
    }}"""
    model = ir.from_onnx_text(text.replace("(float[1,8] x)", f"(float[1,8] x, {kind}[8,4] w)"))
    value = model.graph.inputs.pop()
    integers = np.full((8, 4), zero + 5, kind)
    integers[::2] = zero
    value.const_value = ir.Tensor(integers, name="w")
    model.graph.register_initializer(value)
    (entry,) = describe_model(model)["prunable"]
    assert (entry["sparsity"], entry["pattern"]) == (0.5, "1:2")
