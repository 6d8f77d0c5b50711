"""Shapes that graphs compute with, and return."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch

import graphprune as gp
from graphprune.backends.onnxruntime import session_for

HEADER = '<ir_version: 10, opset_import: ["" : 20]>'
X = np.arange(-3, 3, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize(
    "body",
    [
        "y = Shape(x)",
        "y = Size(x)",
        "y = Squeeze(c)",
        "a = Shape(x) y, i = TopK<axis = 0>(a, one)",
        "a = Shape(x) s = Size(x) b = Unsqueeze(s, zero) y = Squeeze(b)",
        "a = Size(x) y = Sign(a)",
        "a = Shape(x) y = BitwiseOr(a, c)",
        "a = Shape(x) y = Trilu(b) b = Unsqueeze(a, zero)",
        "a = Constant<value_ints = [4, 5]>() y = Identity(a)",
        "a = Shape(x) b = ArgMax<axis = 0>(a) y = BitwiseXor(b, a)",
    ],
)
def test_shapes_are_tensors_where_operators_and_callers_take_tensors(body: str) -> None:
    weights = "<int64[2] c = {1, 8}, int64[1] zero = {0}, int64[1] one = {1}>"
    model = ir.from_onnx_text(f"{HEADER} g (float[2,3] x) => (int64 y) {weights} {{ {body} }}")
    ir.passes.common.TopologicalSortPass()(model)
    result = gp.to_torch(model)(torch.from_numpy(X))
    (expected,) = session_for(model, optimize=False).run(None, {"x": X})
    assert result.dtype == torch.int64
    np.testing.assert_array_equal(result.numpy(), expected)


def test_a_comparison_of_shapes_is_a_truth_value() -> None:
    body = "a = Shape(x) y = Equal(a, c) n = Not(y)"
    model = ir.from_onnx_text(
        f"{HEADER} g (float[2,3] x) => (bool[2] y, bool[2] n) <int64[2] c = {{2, 8}}> {{ {body} }}"
    )
    for result, expected in zip(gp.to_torch(model)(torch.from_numpy(X)), ([True, False], [False, True]), strict=True):
        assert result.dtype == torch.bool
        assert result.tolist() == expected


def test_shrink_adds_the_bias_where_a_negative_threshold_lets_both_hold() -> None:
    body = "y = Shrink<lambd: float = -1.0, bias: float = 0.5>(x)"
    model = ir.from_onnx_text(f"{HEADER} g (float[2,3] x) => (float[2,3] y) {{ {body} }}")
    (expected,) = session_for(model, optimize=False).run(None, {"x": X})
    np.testing.assert_array_equal(gp.to_torch(model)(torch.from_numpy(X)).numpy(), expected)


@pytest.mark.parametrize("operator", ["ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceSum"])
def test_a_scalar_is_reduced_as_a_row_of_one(operator: str) -> None:
    model = ir.from_onnx_text(f"{HEADER} g (float x) => (float y) {{ y = {operator}(x) }}")
    x = np.array(-2.5, np.float32)
    (expected,) = session_for(model, optimize=False).run(None, {"x": x})
    np.testing.assert_allclose(gp.to_torch(model)(torch.from_numpy(x)).numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("operator", ["ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMean"])
def test_what_is_reduced_of_integers_is_cut_to_an_integer(operator: str) -> None:
    model = ir.from_onnx_text(f"{HEADER} g (int32[2,3] x) => (int32[1,1] y) {{ y = {operator}(x) }}")
    x = np.array([[1, 2, 3], [4, 6, 7]], np.int32)
    (expected,) = session_for(model, optimize=False).run(None, {"x": x})
    result = gp.to_torch(model)(torch.from_numpy(x)).numpy()
    assert result.dtype == np.int32
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    "call", ["Sign(x)", "Clip(x)", "Clip(x, one)", 'Clip(x, "", one)', "HardSigmoid(x)", "LeakyRelu(x)"]
)
def test_nan_limits_and_defaults_are_those_of_the_compiled_model(call: str) -> None:
    text = f"g (double[5] x) => (double[5] y) <double one = {{1}}> {{ y = {call} }}"
    x = np.array([np.inf, -np.inf, np.nan, -1.0, 1.0])
    model = ir.from_onnx_text(f"{HEADER} {text}")
    result = gp.to_torch(model)(torch.from_numpy(x)).numpy()
    np.testing.assert_array_equal(result, gp.compile(model).run(None, {"x": x})[0])
