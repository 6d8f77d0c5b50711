"""Packed calls: damaged ones are named before anything follows an index."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest

from graphprune.errors import UnsupportedModelError
from graphprune.packed.calls import is_packed_call, read_call
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from graphprune.stages.verification import verify_stage
from tests.weighted import weighted_model

TEXT = "main (float[N,3] x, float[3,2] w) => (float[N,2] y) { [fc] y = MatMul (x, w) }"
WEIGHT = np.array([[0, 5], [0, 0], [7, 0]], np.float32)


def packed() -> ir.Model:
    return run_pass(PackWeights(layout="rows"), weighted_model(TEXT, {"w": WEIGHT})).model


def damaged(tensor: str, array: npt.NDArray[Any]) -> ir.Model:
    model = packed()
    model.graph.initializers[f"w_{tensor}"].const_value = ir.tensor(array)
    return model


def test_a_call_is_read() -> None:
    (node,) = packed().graph
    assert is_packed_call(node)
    call = read_call(node)
    assert call.weight_shape == (2, 3)
    np.testing.assert_array_equal(call.weight, WEIGHT.T)


def test_another_node_is_no_packed_call() -> None:
    (node,) = weighted_model(TEXT).graph
    assert not is_packed_call(node)


DAMAGE: list[tuple[str, npt.NDArray[Any], str]] = [
    ("values", np.ones(3, np.float32), "columns has 2 entries, expected 3"),
    ("columns", np.array([0, 3], np.int32), "column 3 at position 1 is outside [0, 3)"),
    ("columns", np.array([-1, 0], np.int32), "column -1 at position 0 is outside [0, 3)"),
    ("columns", np.array([2, 0], np.int64), "columns has dtype int64, expected int32"),
    ("row_offsets", np.array([0, 2, 1], np.int32), "row_offsets run from 0 to 1, expected 0 to 2"),
    ("row_offsets", np.array([0, 3, 2], np.int32), "row_offsets fall from 3 to 2 at row 1"),
    ("row_offsets", np.array([0, 2], np.int32), "row_offsets has 2 entries, expected 3"),
]


@pytest.mark.parametrize(("tensor", "array", "defect"), DAMAGE, ids=[defect for *_, defect in DAMAGE])
def test_damaged_tensors_are_named(tensor: str, array: npt.NDArray[Any], defect: str) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        verify_stage(damaged(tensor, array))
    assert str(caught.value) == f"packed-rows: node 'fc' (PackedMatMul): {defect} [GP351]"


@pytest.mark.parametrize("shape", [[], [2], [2, 3, 1], [0, 3], [2, -3]])
def test_a_shape_that_is_none_is_named(shape: list[int]) -> None:
    model = packed()
    model.graph.node(0).attributes["weight_shape"] = ir.AttrInt64s("weight_shape", shape)
    with pytest.raises(UnsupportedModelError, match=r"weight_shape is \[.*\], no shape of a MatMul \[GP351\]"):
        verify_stage(model)


def test_a_missing_shape_is_named() -> None:
    model = packed()
    del model.graph.node(0).attributes["weight_shape"]
    with pytest.raises(UnsupportedModelError, match=r"weight_shape is \[\], no shape of a MatMul \[GP351\]"):
        verify_stage(model)


def test_a_tensor_that_is_computed_is_named() -> None:
    model = packed()
    node = model.graph.node(0)
    node.replace_input_with(2, model.graph.inputs[0])
    with pytest.raises(UnsupportedModelError, match=r"node 'fc' .*: its columns are not a constant \[GP350\]"):
        verify_stage(model)


def test_a_missing_input_is_named() -> None:
    model = packed()
    model.graph.node(0).resize_inputs(3)
    with pytest.raises(UnsupportedModelError, match=r"node 'fc' .*: its row_offsets are not a constant \[GP350\]"):
        verify_stage(model)


def test_another_version_is_refused() -> None:
    model = packed()
    model.graph.opset_imports["graphprune"] = 2
    with pytest.raises(UnsupportedModelError) as caught:
        verify_stage(model)
    assert str(caught.value) == "packed-version: packed calls are of version 2, this graphprune reads 1 [GP352]"
