"""Poolings of one window."""

from __future__ import annotations

import numpy as np
import pytest

import graphprune as gp
from graphprune.backends.onnxruntime import session_for
from graphprune.backends.tvm.rewrites.whole_windows import name_whole_windows
from tests.weighted import inferred_model

X = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)


@pytest.mark.parametrize(
    ("pooling", "name"),
    [
        ("AveragePool <kernel_shape = [4, 5]>", "GlobalAveragePool"),
        ("AveragePool <kernel_shape = [4, 5], strides = [2, 2], ceil_mode = 1>", "GlobalAveragePool"),
        ("MaxPool <kernel_shape = [4, 5], auto_pad = 'VALID'>", "GlobalMaxPool"),
        ("AveragePool <kernel_shape = [9, 5], strides = [9, 5], ceil_mode = 1>", "GlobalAveragePool"),
        (
            "AveragePool <kernel_shape = [64, 64], strides = [64, 64], ceil_mode = 1, count_include_pad = 1>",
            "GlobalAveragePool",
        ),
        ("MaxPool <kernel_shape = [9, 9], strides = [9, 9], ceil_mode = 1>", "GlobalMaxPool"),
        ("AveragePool <kernel_shape = [9, 5], strides = [9, 9], auto_pad = 'SAME_UPPER'>", "AveragePool"),
        ("AveragePool <kernel_shape = [4, 4]>", "AveragePool"),
        ("AveragePool <kernel_shape = [3, 5], strides = [9, 9]>", "AveragePool"),
        ("AveragePool <kernel_shape = [4, 5], auto_pad = 'SAME_UPPER'>", "AveragePool"),
        ("AveragePool <kernel_shape = [4, 5], pads = [0, 0, 0, 1]>", "AveragePool"),
        ("AveragePool <kernel_shape = [4, 5], pads = [0, 0, 0, 1], count_include_pad = 1>", "AveragePool"),
        ("MaxPool <kernel_shape = [4, 5], dilations = [1, 2], pads = [0, 2, 0, 2]>", "MaxPool"),
    ],
)
def test_a_window_of_all_is_a_global_pooling(pooling: str, name: str) -> None:
    text = f"main (float[2,3,4,5] x) => (float[a,b,c,d] y) {{ y = {pooling} (x) }}".replace("'", '"')
    model = inferred_model(text)
    found = gp.compile(model).run(None, {"x": X})[0]
    np.testing.assert_allclose(found, session_for(model, optimize=False).run(None, {"x": X})[0], rtol=1e-6, atol=1e-6)
    name_whole_windows(model.graph)
    assert [node.op_type for node in model.graph] == [name]


def test_indices_are_no_part_of_a_global_pooling() -> None:
    text = (
        "main (float[2,3,4,5] x) => (float[2,3,1,1] y, int64[2,3,1,1] i) { y, i = MaxPool <kernel_shape = [4, 5]> (x) }"
    )
    model = inferred_model(text)
    name_whole_windows(model.graph)
    assert [node.op_type for node in model.graph] == ["MaxPool"]
