"""Indices of maxima and unpooling, against ONNX Runtime; gradients."""

from __future__ import annotations

import numpy as np
import pytest

from tests.frontends.torch_operators.checks import assert_gradients, assert_same
from tests.weighted import weighted_model

WINDOWS = {
    "plain": "kernel_shape = [2,2], strides = [2,2]",
    "padded": "kernel_shape = [3,2], strides = [2,1], pads = [1,0,1,1]",
    "spread": "kernel_shape = [2,2], dilations = [2,1]",
    "columns first": "kernel_shape = [2,2], storage_order = 1",
}


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_indices_of_maxima_are_those_of_onnx_runtime(window: str) -> None:
    text = f"main (float[2,3,6,5] x) => (float[n,c,h,v] y, int64[n,c,h,v] i) {{ y, i = MaxPool <{window}> (x) }}"
    assert_same(weighted_model(text), tolerance=0)


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool", "LpPool"])
def test_a_window_that_misses_less_than_a_stride_is_one(operator: str) -> None:
    """ONNX Runtime rounds its length towards zero."""
    window = "kernel_shape = [5,5], strides = [2,2], pads = [0,0,1,1]"
    assert_same(weighted_model(f"main (float[1,2,5,3] x) => (float[n,c,h,v] y) {{ y = {operator} <{window}> (x) }}"))


@pytest.mark.parametrize("shape", ["", ", shape"])
def test_unpooling_puts_maxima_back(shape: str) -> None:
    text = f"""main (float[1,2,4,6] x) => (float[n,c,h,v] y) <int64[4] shape = {{1, 2, 4, 6}}> {{
        m, i = MaxPool <kernel_shape = [2,2], strides = [2,2]> (x)
        y = MaxUnpool <kernel_shape = [2,2], strides = [2,2]> (m, i{shape})
    }}"""
    assert_same(weighted_model(text), tolerance=0)


def test_gradients_of_unpooling_agree_with_finite_differences() -> None:
    text = """main (double[1,1,4,4] x) => (double[1,1,4,4] y) {
        m, i = MaxPool <kernel_shape = [2,2], strides = [2,2]> (x)
        s = Mul (m, m)
        y = MaxUnpool <kernel_shape = [2,2], strides = [2,2]> (s, i)
    }"""
    assert_gradients(weighted_model(text))


def test_the_mask_of_dropout_in_inference_is_all_true() -> None:
    text = """main (float[2,3] x) => (float[2,3] y, bool[2,3] m) <float r = {0.5}> { y, m = Dropout (x, r) }"""
    assert_same(weighted_model(text), {"x": np.ones((2, 3), np.float32)}, tolerance=0)
