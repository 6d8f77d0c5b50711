"""Sparse convolutions over planes cut in strips: which ones, and their epilogue, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.onnxruntime import session_for
from graphprune.backends.tvm.operators import strips
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from tests.backends.tvm.graphs import assert_equal, compile_, kernels, parse, pruned
from tests.backends.tvm.operators.test_convolution import CASES

WITH_RESIDUAL = """g (float[2,32,14,14] x, float[2,14,14,32] r) => (float[2,32,14,14] y) {
    t = Transpose<perm=[0,3,1,2]>(r)
    c = Conv<pads=[1,1,1,1]>(x,w,b)
    a = Add(c,t)
    m = Mul(a,s)
    y = Relu(m)
}"""


def packed(model: ir.Model) -> ir.Model:
    return run_pass(PackWeights(min_sparsity=0.3, layout="rows"), model).model


@pytest.mark.parametrize("target", ["native", "x86-64-v3"])
@pytest.mark.parametrize("name", CASES)
def test_the_same_convolutions(name: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "COPY_COST", 0)
    model = parse(*CASES[name])
    assert_equal(compile_(packed(model), target), model)


@pytest.mark.parametrize("threads", [1, 2])
def test_bias_and_region_follow(threads: int) -> None:
    model = parse(WITH_RESIDUAL, {"w": pruned(32, 32, 3, 3), "b": (32,), "s": (32, 1, 1)})
    assert kernels(packed(model)) == ["cut", "sparse", "put_together"]
    assert_equal(compile_(packed(model), threads=threads), model)


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        pytest.param("g (float[1,32,14,14] x) => (float[1,32,7,7] y) { y = Conv<strides=[2,2]>(x,w) }", (32, 32, 1, 1)),
        pytest.param("g (float[1,2,14,14] x) => (float[1,64,12,12] y) { y = Conv(x,w) }", (64, 2, 3, 3)),
        pytest.param("g (float[1,32,3,3] x) => (float[1,32,1,1] y) { y = Conv(x,w) }", (32, 32, 3, 3)),
    ],
    ids=["one tap", "few elements a row", "one position"],
)
def test_where_it_does_not_pay(text: str, weight: tuple[int, ...]) -> None:
    assert kernels(packed(parse(text, {"w": pruned(*weight)})))[-1] == "sparse"


def test_a_weight_for_the_dense_kernel_is_not_cut() -> None:
    text = "g (float[1,32,14,14] x) => (float[1,32,14,14] y) { y = Conv<pads=[2,2,2,2]>(x,w) }"
    assert kernels(packed(parse(text, {"w": pruned(32, 32, 5, 5, zeros=0.35)}))) == ["pad", "dense"]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_element_reaches_only_the_windows_that_hold_it(bad: float) -> None:
    model = parse(
        "g (float[1,32,14,14] x) => (float[1,32,14,14] y) { y = Conv<pads=[1,1,1,1]>(x,w) }",
        {"w": pruned(32, 32, 3, 3, zeros=0.5)},
    )
    x = np.random.default_rng(0).standard_normal((1, 32, 14, 14)).astype(np.float32)
    x[0, 2, 0, 13] = bad
    (ours,) = compile_(packed(model)).run(None, {"x": x})
    (theirs,) = session_for(model, optimize=False).run(None, {"x": x})
    # A pruned weight is skipped, where ONNX Runtime multiplies its zero by the bad element.
    assert not (np.isfinite(theirs) & ~np.isfinite(ours)).any()
    assert 0 < np.count_nonzero(~np.isfinite(ours)) <= 32 * 4
