"""Calls with weights in N:M groups: bodies that decode exactly, and damaged tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.reference
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import checker, inliner

from graphprune.backends.onnxruntime import session_for
from graphprune.errors import UnsupportedModelError
from graphprune.layouts import nm
from graphprune.packed.calls import read_call
from graphprune.packed.functions import OLDEST_OPSET
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from graphprune.stages.verification import verify_stage
from tests.weighted import weighted_model

TEXT = """<ir_version: 10, opset_import: ["" : {}]>
main ({}[N,{}] x, {}[{},3] w) => ({}[N,3] y) {{ [fc] y = MatMul (x, w) }}"""
SPECIAL = [1e-45, -1e-40, 3.4e38, -0.0, 1.5, -2.25, 0.1]


def packed(keep: int, of: int, opset: int = 18, kind: str = "float") -> tuple[ir.Model, npt.NDArray[Any]]:
    """A product with a weight that has special values in the first places of every group, and that weight."""
    inputs = 2 * of + 1
    weight = np.zeros((inputs, 3), np.float32 if kind == "float" else np.float64)
    stored = np.flatnonzero(np.arange(inputs) % of < keep)
    weight[stored] = np.resize(SPECIAL, (stored.size, 3))
    model = weighted_model(TEXT.format(opset, kind, inputs, kind, inputs, kind), {"w": weight})
    return run_pass(PackWeights(layout=f"{keep}:{of}"), model).model, weight


@pytest.mark.parametrize("kind", ["float", "double"])
@pytest.mark.parametrize("opset", [OLDEST_OPSET, 18, 21])
@pytest.mark.parametrize("of", nm.GROUP_SIZES)
def test_the_body_decodes_bit_for_bit(of: int, opset: int, kind: str) -> None:
    model, weight = packed(of // 2, of, opset, kind)
    checker.check_model(ir.to_proto(model), full_check=True)
    unit = np.eye(weight.shape[0], dtype=weight.dtype)
    for optimize in (False, True):
        found = session_for(model, optimize=optimize).run(None, {"x": unit})[0]
        np.testing.assert_array_equal(found, weight)


def test_onnxruntime_decodes_once_when_it_loads_the_file(tmp_path: Path) -> None:
    model, _ = packed(2, 4)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options)
    assert [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node] == ["MatMul"]


def test_inlined_it_is_plain_onnx() -> None:
    model, weight = packed(2, 4)
    plain = inliner.inline_local_functions(ir.to_proto(model))
    assert not plain.functions
    (found,) = onnx.reference.ReferenceEvaluator(plain).run(None, {"x": np.eye(weight.shape[0], dtype=np.float32)})
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, weight)


def test_a_call_is_read() -> None:
    model, weight = packed(2, 4)
    call = read_call(model.graph.node(0))
    assert (call.weight_shape, call.packed.layout, call.weight_name) == ((3, 9), "2:4", "w")
    np.testing.assert_array_equal(call.weight, weight.T)


DAMAGE: list[tuple[str, npt.NDArray[Any], str]] = [
    ("values", np.ones((3, 4), np.float32), "values have shape [3, 4], expected [3, 5]"),
    ("indices", np.zeros(3, np.uint8), "indices have shape [3], expected [4]"),
    ("indices", np.zeros(4, np.int8), "indices have dtype int8, expected uint8"),
    ("indices", np.zeros(4, np.uint8), "places do not increase at line 0, slot 1: 0 then 0"),
    ("indices", np.array([0x44, 0x13, 0x44, 0x04], np.uint8), "place 3 at line 0, slot 4 is outside [0, 1)"),
]


@pytest.mark.parametrize(("tensor", "array", "defect"), DAMAGE, ids=[defect for *_, defect in DAMAGE])
def test_damaged_tensors_are_named(tensor: str, array: npt.NDArray[Any], defect: str) -> None:
    model, _ = packed(2, 4)
    model.graph.initializers[f"w_{tensor}"].const_value = ir.tensor(array)
    with pytest.raises(UnsupportedModelError) as caught:
        verify_stage(model)
    assert str(caught.value) == f"packed-nm: node 'fc' (PackedNmMatMul): {defect} [GP351]"


@pytest.mark.parametrize(
    ("name", "attribute", "defect"),
    [
        ("keep", ir.AttrInt64("keep", 4), "groups keep 4 of 4, expected at least 1 and not all"),
        ("keep", ir.AttrInt64("keep", -2), "groups keep -2 of 4, expected at least 1 and not all"),
        ("keep", ir.AttrFloat32("keep", 2.0), "keep is no integer"),
        ("keep", None, "keep is no integer"),
        ("of", ir.AttrInt64("of", 5), "groups have 5 places, expected 2, 4, 8, 16 or 32"),
        ("weight_shape", ir.AttrInt64("weight_shape", 3), "weight_shape is [], no shape of a MatMul"),
    ],
)
def test_attributes_that_do_not_fit_are_named(name: str, attribute: ir.Attr | None, defect: str) -> None:
    model, _ = packed(2, 4)
    attributes = model.graph.node(0).attributes
    del attributes[name]
    if attribute is not None:
        attributes[name] = attribute
    with pytest.raises(UnsupportedModelError) as caught:
        read_call(model.graph.node(0))
    assert str(caught.value) == f"packed-nm: node 'fc' (PackedNmMatMul): {defect} [GP351]"


def test_indices_that_are_computed_are_named() -> None:
    model, _ = packed(2, 4)
    node = model.graph.node(0)
    node.replace_input_with(2, model.graph.inputs[0])
    with pytest.raises(UnsupportedModelError, match=r"node 'fc' .*: its indices are not a constant \[GP350\]"):
        verify_stage(model)
