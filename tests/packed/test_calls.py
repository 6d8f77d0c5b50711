"""Packed calls: damaged ones are named before anything follows an index."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest

from graphprune.errors import UnsupportedModelError
from graphprune.packed.calls import is_decoding, is_packed_call, read_call
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


def test_numbers_of_a_call_are_read() -> None:
    model = run_pass(PackWeights(layout="1:2"), weighted_model(TEXT, {"w": WEIGHT})).model
    call = read_call(model.graph.node(0))
    assert (call.packed.layout, call.weight_name) == ("1:2", "w")
    model.graph.node(0).attributes["of"] = ir.AttrFloat32("of", 2.0)
    with pytest.raises(UnsupportedModelError, match=r"of is no integer \[GP351\]"):
        read_call(model.graph.node(0))
    del model.graph.node(0).attributes["of"]
    with pytest.raises(UnsupportedModelError, match=r"of is no integer \[GP351\]"):
        read_call(model.graph.node(0))


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


RECURRENT = """main (float[3,N,4] x, float[1,5,4] w, float[1,5,5] w_r) => (float[3,1,N,5] y) {
    y = RNN <hidden_size = 5> (x, w, w_r) }"""


def decoding() -> ir.Model:
    weight = np.zeros((1, 5, 4), np.float32)
    weight[0, 1] = 1
    return run_pass(PackWeights(layout="rows"), weighted_model(RECURRENT, {"w": weight})).model


def test_a_call_that_only_decodes_is_read() -> None:
    node = decoding().graph.node(0)
    assert is_decoding(node)
    assert not is_packed_call(node)
    call = read_call(node)
    assert (call.weight_shape, call.decoded.shape, call.weight_name) == ((5, 4), (1, 5, 4), "w")
    assert (call.operator, call.reader.op_type) == ("RNN", "RNN")


@pytest.mark.parametrize(
    ("name", "numbers", "defect"),
    [
        ("stored_shape", [1, 5, 5], "stored_shape is [1, 5, 5], expected 20 elements"),
        ("stored_shape", [-1, -5, 4], "stored_shape is [-1, -5, 4], expected 20 elements"),
        ("stored_shape", [], "stored_shape is [], expected 20 elements"),
        ("perm", [0, 1, 1], "perm is [0, 1, 1], no order of 3 axes"),
        ("perm", [0, 1], "perm is [0, 1], no order of 3 axes"),
    ],
)
def test_a_form_that_is_none_is_named(name: str, numbers: list[int], defect: str) -> None:
    model = decoding()
    model.graph.node(0).attributes[name] = ir.AttrInt64s(name, numbers)
    with pytest.raises(UnsupportedModelError) as caught:
        verify_stage(model)
    assert str(caught.value) == f"packed-rows: node 'w_decoded' (PackedWeight): {defect} [GP351]"


def test_integers_are_only_decoded() -> None:
    model = damaged("values", np.array([5, 7], np.int8))
    with pytest.raises(UnsupportedModelError, match=r"values has dtype int8, expected a floating one \[GP351\]"):
        verify_stage(model)
