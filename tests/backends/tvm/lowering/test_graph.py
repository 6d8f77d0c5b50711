from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.tvm.lowering.graph import constant_array, static_dtype, static_shape
from graphprune.errors import BackendError, UnsupportedModelError
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from tests.backends.tvm.graphs import Initializer, assert_equal, compile_, parse


def lines(*parts: str) -> str:
    return "\n".join(parts)


GRAPHS: dict[str, tuple[str, dict[str, Initializer]]] = {
    "strided convolution with bias and relu": (
        "g (float[2,16,9,9] x) => (float[2,24,5,5] y) { c = Conv<strides=[2,2],pads=[1,1,1,1]>(x,w,b)\n y = Relu(c) }",
        {"w": (24, 16, 3, 3), "b": (24,)},
    ),
    "residual addition": (
        "g (float[2,16,9,9] x) => (float[2,16,9,9] y) { c = Conv<pads=[1,1,1,1]>(x,w,b)\n a = Add(c,x)\n y = Relu(a) }",
        {"w": (16, 16, 3, 3), "b": (16,)},
    ),
    "dilated convolution, uneven pads": (
        "g (float[1,8,11,13] x) => (float[1,8,8,9] y) { y = Conv<dilations=[2,3],pads=[0,1,1,1]>(x,w) }",
        {"w": (8, 8, 3, 3)},
    ),
    "auto_pad SAME_LOWER": (
        'g (float[1,8,7,8] x) => (float[1,8,4,4] y) { y = Conv<auto_pad="SAME_LOWER",strides=[2,2]>(x,w) }',
        {"w": (8, 8, 3, 3)},
    ),
    "stride larger than the kernel": (
        "g (float[1,8,10,10] x) => (float[1,4,3,3] y) { y = Conv<strides=[4,4],pads=[1,1,0,0]>(x,w) }",
        {"w": (4, 8, 2, 2)},
    ),
    "strided 1x1 convolution": (
        "g (float[1,32,8,8] x) => (float[1,8,4,4] y) { y = Conv<strides=[2,2]>(x,w,b) }",
        {"w": (8, 32, 1, 1), "b": (8,)},
    ),
    "grouped convolution": (
        "g (float[1,32,8,8] x) => (float[1,20,8,8] y) { y = Conv<pads=[1,1,1,1],group=4>(x,w) }",
        {"w": (20, 8, 3, 3)},
    ),
    "depthwise convolution": (
        "g (float[1,32,8,8] x) => (float[1,32,8,8] y) { y = Conv<pads=[1,1,1,1],group=32>(x,w,b) }",
        {"w": (32, 1, 3, 3), "b": (32,)},
    ),
    "convolution over one axis": (
        "g (float[1,32,20] x) => (float[1,8,10] y) { y = Conv<strides=[2],pads=[1,1],group=2>(x,w,b) }",
        {"w": (8, 16, 3), "b": (8,)},
    ),
    "linear layer, branches that meet again": (
        lines(
            "g (float[1,10,32] x) => (float[1,10,48] y) {",
            "t = MatMul(x,w)",
            "z = Add(t,b)",
            "e = Erf(z)",
            "q = Mul(z,e)",
            "y = Add(q,z) }",
        ),
        {"w": (32, 48), "b": (48,)},
    ),
    "attention heads as views": (
        lines(
            "g (float[2,10,32] x) => (float[2,10,32] y) {",
            "t = MatMul(x,w)",
            "r = Reshape(t,s)",
            "q = Transpose<perm=[0,2,1,3]>(r)",
            "k = Transpose<perm=[0,2,3,1]>(r)",
            "z = MatMul(q,k)",
            "a = MatMul(z,q)",
            "b = Transpose<perm=[0,2,1,3]>(a)",
            "c = Reshape(b,s2)",
            "y = MatMul(c,w2) }",
        ),
        {"w": (32, 32), "s": np.array([2, 10, 4, 8]), "s2": np.array([2, 10, 32]), "w2": (32, 32)},
    ),
    "operand that broadcasts along tokens": (
        "g (float[1,10,32] x, float[10,1] z) => (float[1,10,32] y) { t = MatMul(x,w)\n y = Mul(t,z) }",
        {"w": (32, 32)},
    ),
    "gemm with alpha and beta": (
        "g (float[3,64] x) => (float[3,10] y) { y = Gemm<transB=1,alpha=0.5,beta=2.0>(x,w,b) }",
        {"w": (10, 64), "b": (10,)},
    ),
    "gemm with transA": (
        "g (float[64,9] x) => (float[9,10] y) { y = Gemm<transA=1>(x,w) }",
        {"w": (64, 10)},
    ),
    "matmul with a vector": ("g (float[5,64] x) => (float[5] y) { y = MatMul(x,w) }", {"w": (64,)}),
    "matmul with a constant on the left": ("g (float[6,5] x) => (float[7,5] y) { y = MatMul(w,x) }", {"w": (7, 6)}),
    "batched product with a repeated operand": (
        "g (float[3,4,5,6] a, float[4,6,7] b) => (float[3,4,5,7] y) { y = MatMul(a,b) }",
        {},
    ),
    "slice, split and expand": (
        lines(
            "g (float[4,10] x) => (float[3,4,5] y) {",
            "s = Slice(x,st,en,ax,step)",
            "a, b = Split<axis=1,num_outputs=2>(s)",
            "c = Add(a,b)",
            "y = Expand(c,shape) }",
        ),
        {
            "st": np.array([9]),
            "en": np.array([-100]),
            "ax": np.array([1]),
            "step": np.array([-1]),
            "shape": np.array([3, 4, 5]),
        },
    ),
    "reshape that needs a copy": (
        "g (float[4,6] x) => (float[24] y) { t = Transpose(x)\n y = Reshape(t,s) }",
        {"s": np.array([24])},
    ),
    "input passed through": ("g (float[4,6] x) => (float[4,6] y) { y = Identity(x) }", {}),
    "constant output": ("g (float[4] x) => (float[4] y, float[2] z) { y = Neg(x)\n z = Neg(c) }", {"c": (2,)}),
    "scalar input": ("g (float[4] x, float s) => (float[4] y) { y = Mul(x,s) }", {}),
    "integers and booleans": (
        "g (int64[4] x, bool[4] m) => (int64[4] y) { n = Neg(x)\n y = Where(m,x,n) }",
        {},
    ),
}


@pytest.mark.parametrize("target", ["native", "x86-64-v3"])
@pytest.mark.parametrize("name", GRAPHS)
def test_equals_onnxruntime(name: str, target: str) -> None:
    model = parse(*GRAPHS[name])
    assert_equal(compile_(model, target), model)


@pytest.mark.parametrize("name", ["residual addition", "attention heads as views", "reshape that needs a copy"])
def test_two_threads(name: str) -> None:
    model = parse(*GRAPHS[name])
    assert_equal(compile_(model, threads=2), model)


def test_refuses_all_at_once() -> None:
    text = """g (float[4] x) => (int64[1,n] y, int64[1,m] z) {
        [first] y = NonZero(x)
        [second] z = NonZero(x) }"""
    with pytest.raises(UnsupportedModelError, match=r"first.*second.*GP401"):
        compile_(parse(text))


def test_a_packed_weight_without_a_kernel_becomes_dense() -> None:
    weight = np.random.default_rng(0).standard_normal((64, 32))
    weight[np.abs(weight) < 1.5] = 0
    model = parse("g (double[4,64] x) => (double[4,32] y) { y = MatMul(x,w) }", {"w": weight})
    packed = run_pass(PackWeights(), model)
    assert packed.rewrites
    assert_equal(compile_(packed.model), model)


def test_a_value_that_is_not_constant_has_no_array() -> None:
    with pytest.raises(BackendError, match=r"value 'x' is not a constant \[GP402\]"):
        constant_array(ir.Value(name="x"))


def test_a_value_without_a_static_shape_is_named() -> None:
    with pytest.raises(BackendError, match=r"value 'x' has no static shape, found \[2,n\] \[GP403\]"):
        static_shape(ir.Value(name="x", shape=ir.Shape([2, "n"])))
    with pytest.raises(BackendError, match=r"value 'x' has no static shape, found None \[GP403\]"):
        static_shape(ir.Value(name="x"))


def test_a_value_without_an_element_type_is_named() -> None:
    with pytest.raises(BackendError, match=r"value 'x' has no known element type \[GP403\]"):
        static_dtype(ir.Value(name="x"))
