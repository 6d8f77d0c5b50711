from __future__ import annotations

import numpy as np
import pytest

from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from tests.backends.tvm.graphs import Initializer, assert_equal, compile_, parse, pruned

W = pruned(20, 30)
CASES: dict[str, tuple[str, dict[str, Initializer]]] = {
    "three leading axes": ("g (float[2,3,4,20] x) => (float[2,3,4,30] y) { y = MatMul(x,w) }", {"w": W}),
    "one token": ("g (float[1,1,20] x) => (float[1,1,30] y) { y = MatMul(x,w) }", {"w": W}),
    "many tokens, one output": (
        "g (float[2,100,20] x) => (float[2,100,1] y) { y = MatMul(x,w) }",
        {"w": pruned(20, 1)},
    ),
    "one feature": ("g (float[2,50,1] x) => (float[2,50,30] y) { y = MatMul(x,w) }", {"w": pruned(1, 30)}),
    "nothing but zeros": (
        "g (float[2,5,20] x) => (float[2,5,3] y) { m = MatMul(x,w)\n y = Add(m,b) }",
        {"w": np.zeros((20, 3), "f4"), "b": (3,)},
    ),
    "channels that lie slowest": (
        "g (float[20,6,4] x) => (float[4,6,30] y) { t = Transpose(x)\n y = MatMul(t,w) }",
        {"w": W},
    ),
    "tokens that repeat": (
        "g (float[2,1,20] x) => (float[2,33,30] y) { e = Expand(x,s)\n y = MatMul(e,w) }",
        {"s": np.array([2, 33, 20]), "w": W},
    ),
    "all tokens the same": (
        "g (float[1,1,20] x) => (float[2,33,30] y) { e = Expand(x,s)\n y = MatMul(e,w) }",
        {"s": np.array([2, 33, 20]), "w": W},
    ),
    "features that repeat": (
        "g (float[2,3,1] x) => (float[2,3,30] y) { e = Expand(x,s)\n y = MatMul(e,w) }",
        {"s": np.array([2, 3, 20]), "w": W},
    ),
    "every second token": (
        "g (float[1,67,20] x) => (float[1,33,30] y) { t = Slice(x,st,en,ax,step)\n y = MatMul(t,w) }",
        {"st": np.array([1]), "en": np.array([67]), "ax": np.array([1]), "step": np.array([2]), "w": W},
    ),
    "a residual for each token alone": (
        "g (float[2,7,20] x, float[7,30] r) => (float[2,7,30] y) { m = MatMul(x,w)\n y = Add(r,m) }",
        {"w": W},
    ),
    "the result read twice": (
        """g (float[2,7,20] x) => (float[2,7,30] y, float[30,7,2] z) {
            m = MatMul(x,w)
            y = Relu(m)
            z = Transpose(m) }""",
        {"w": W},
    ),
    "gemm whose C is a column": (
        "g (float[9,20] x) => (float[9,30] y) { y = Gemm<beta=0.5,alpha=2.0>(x,w,c) }",
        {"w": W, "c": (9, 1)},
    ),
    "gemm whose C is a scalar": ("g (float[9,20] x) => (float[9,30] y) { y = Gemm(x,w,c) }", {"w": W, "c": ()}),
    "gemm whose C is a matrix computed at run time": (
        "g (float[9,20] x, float[30,9] c) => (float[9,30] y) { t = Transpose(c)\n y = Gemm(x,w,t) }",
        {"w": W},
    ),
    "gemm with transB and alpha": (
        "g (float[9,30] x) => (float[9,20] y) { y = Gemm<transB=1,alpha=-0.25>(x,w) }",
        {"w": W},
    ),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_dense_and_packed(name: str, packed: bool) -> None:  # noqa: FBT001
    model = parse(*CASES[name])
    result = run_pass(PackWeights(min_sparsity=0.3, layout="rows"), model)
    assert len(result.rewrites) == 1
    assert_equal(compile_(result.model if packed else model), model)
