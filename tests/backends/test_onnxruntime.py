from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends import onnxruntime as backend
from graphprune.backends.base import Variant
from graphprune.backends.onnxruntime import OnnxRuntimeBackend, session_for, session_for_file
from graphprune.errors import BackendError, InputError, UnsupportedModelError
from graphprune.frontends.onnx_file import load, save
from graphprune.targets.target import resolve_target
from graphprune_runtime.interface import Session, TensorInfo

ADD = """<ir_version: 10, opset_import: ["" : 20]>
g (float[n,2] x) => (float[n,2] y, float[n,2] z) <float[2] w = {1,2}> { y = Add(x, w)  z = Mul(x, w) }"""
FEED = {"x": np.ones((1, 2), "float32")}


def test_it_runs_and_describes_itself() -> None:
    session = OnnxRuntimeBackend().compile([Variant.of(ir.from_onnx_text(ADD))], resolve_target("x86-64-v3"), threads=1)
    assert isinstance(session, Session)
    assert session.get_inputs() == [TensorInfo("x", ("n", 2), np.dtype("float32"))]
    assert [info.name for info in session.get_outputs()] == ["y", "z"]
    y, z = session.run(None, FEED)
    assert (y.tolist(), z.tolist()) == ([[2, 3]], [[1, 2]])


def test_outputs_come_in_the_order_asked_for() -> None:
    z, y = session_for(ir.from_onnx_text(ADD)).run(["z", "y"], FEED)
    assert (y.tolist(), z.tolist()) == ([[2, 3]], [[1, 2]])


def test_a_wrong_feed_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"input 'x' has dtype float64, expected float32 \[GP514\]"):
        session_for(ir.from_onnx_text(ADD)).run(None, {"x": np.ones((1, 2))})


def test_external_weights_reach_it(tmp_path: Path) -> None:
    save(ir.from_onnx_text(ADD), tmp_path / "m.onnx", limit=0)
    model = load(tmp_path / "m.onnx")
    assert session_for(model).run(["y"], FEED)[0].tolist() == [[2, 3]]
    assert session_for_file(tmp_path / "m.onnx").run(["y"], FEED)[0].tolist() == [[2, 3]]


def test_a_model_beyond_protobuf_goes_through_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_INLINE_LIMIT", 4)
    assert session_for(ir.from_onnx_text(ADD)).run(["y"], FEED)[0].tolist() == [[2, 3]]


def test_functions_run_by_their_bodies() -> None:
    text = """<ir_version: 10, opset_import: ["" : 20, "graphprune" : 1]>
    g (float[2] x) => (float[2] y) { y = graphprune.Twice(x) }
    <opset_import: ["" : 20], domain: "graphprune"> Twice (a) => (b) { b = Add(a, a) }"""
    assert session_for(ir.from_onnx_text(text)).run(None, {"x": np.ones(2, "float32")})[0].tolist() == [2, 2]


def test_it_has_no_compiled_file(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"onnxruntime sessions have no compiled file .* \[GP482\]"):
        session_for(ir.from_onnx_text(ADD)).save(tmp_path / "m.so")


def test_a_rejected_model_is_one_line() -> None:
    bad = ir.from_onnx_text(ADD.replace("Add(x, w)", "NoSuchOperator(x, w)"))
    with pytest.raises(BackendError, match=r"\Aonnxruntime: [^\n]*NoSuchOperator[^\n]*\[GP483\]\Z"):
        session_for(bad)


def test_a_failing_run_is_one_line() -> None:
    text = """<ir_version: 10, opset_import: ["" : 20]>
    g (int64[1] i) => (float[1] y) <float[2] table = {1,2}> { y = Gather(table, i) }"""
    session = session_for(ir.from_onnx_text(text))
    with pytest.raises(BackendError, match=r"\Aonnxruntime: [^\n]*\[GP481\]\Z"):
        session.run(None, {"i": np.array([5])})


def test_inputs_that_are_no_tensors_are_refused() -> None:
    text = """<ir_version: 10, opset_import: ["" : 20]>
    g (seq(float[2]) s) => (int64 n) { n = SequenceLength(s) }"""
    with pytest.raises(UnsupportedModelError, match=r"'s' has type seq\(tensor\(float\)\), .* \[GP484\]"):
        session_for(ir.from_onnx_text(text))
