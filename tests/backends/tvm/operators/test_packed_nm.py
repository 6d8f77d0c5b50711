"""Weights in N:M groups compile like others, for every operator and place of a bias."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from tests.backends.tvm.graphs import Initializer, assert_equal, compile_, parse


def two_of_four(*shape: int, axis: int) -> npt.NDArray[Any]:
    """Random float32 numbers of which two of every four along `axis` are zero."""
    weight = np.random.default_rng(0).standard_normal(shape, np.float32)
    zero = np.arange(shape[axis]) % 4 < 2
    weight[tuple(zero if each == axis else slice(None) for each in range(len(shape)))] = 0
    return weight


CASES: dict[str, tuple[str, dict[str, Initializer]]] = {
    "convolution with a bias": (
        "g (float[2,10,7,6] x) => (float[2,5,7,6] y) { c = Conv<pads=[1,1,1,1]>(x,w,b)\n y = Relu(c) }",
        {"w": two_of_four(5, 10, 3, 3, axis=1), "b": (5,)},
    ),
    "pointwise convolution": (
        "g (float[2,12,7,6] x) => (float[2,5,7,6] y) { y = Conv(x,w) }",
        {"w": two_of_four(5, 12, 1, 1, axis=1)},
    ),
    "convolution behind a pad": (
        """g (float[1,8,7,6] x) => (float[1,5,4,3] y) {
            p = Pad(x,s)
            y = Conv<strides=[2,2]>(p,w) }""",
        {"w": two_of_four(5, 8, 3, 3, axis=1), "s": np.array([0, 0, 1, 1, 0, 0, 1, 1])},
    ),
    "matmul": ("g (float[2,9,18] x) => (float[2,9,30] y) { y = MatMul(x,w) }", {"w": two_of_four(18, 30, axis=0)}),
    "gemm without a bias": (
        "g (float[9,20] x) => (float[9,30] y) { y = Gemm<transB=1,alpha=0.5>(x,w) }",
        {"w": two_of_four(30, 20, axis=1)},
    ),
    "gemm with a bias": (
        "g (float[9,20] x) => (float[9,30] y) { y = Gemm<beta=0.5>(x,w,c) }",
        {"w": two_of_four(20, 30, axis=0), "c": (30,)},
    ),
    "double precision, which has no kernel": (
        "g (double[9,20] x) => (double[9,30] y) { y = MatMul(x,w) }",
        {"w": two_of_four(20, 30, axis=0).astype(np.float64)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_equals_onnxruntime(name: str) -> None:
    model = parse(*CASES[name])
    packed = run_pass(PackWeights(layout="2:4"), model)
    assert [rewrite.rule for rewrite in packed.rewrites] == ["2:4"]
    assert_equal(compile_(packed.model), model)
