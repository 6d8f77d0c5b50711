"""Element-wise nodes fused behind a kernel: whatever the kernel, one call does it all."""

from __future__ import annotations

import numpy as np
import pytest

from tests.backends.tvm.graphs import Initializer, assert_equal, assert_equal_on, compile_, kernels, parse

ANCHORS: dict[str, tuple[str, dict[str, Initializer], str]] = {
    "dense convolution": ("Conv(x,w,b)", {"w": (6, 6, 1, 1), "b": (6,)}, "dense"),
    "depthwise convolution": ("Conv<group=6,pads=[1,1,1,1]>(x,w)", {"w": (6, 1, 3, 3)}, "window"),
    "product with a constant": ("MatMul(x,w)", {"w": (5, 5)}, "dense"),
    "product of activations": ("MatMul(q,x)", {}, "matmul"),
    "maximum": ("MaxPool<kernel_shape=[3,3],pads=[1,1,1,1]>(x)", {}, "window"),
    "average": ("AveragePool<kernel_shape=[3,3],pads=[1,1,1,1]>(x)", {}, "window"),
    "softmax": ("Softmax<axis=1>(x)", {}, "rows"),
    "layer normalisation": ("LayerNormalization(x,w)", {"w": (5,)}, "rows"),
    "instance normalisation": ("InstanceNormalization(x,w,b)", {"w": (6,), "b": (6,)}, "rows"),
    "nothing": ("Neg(x)", {}, "elementwise"),
}


@pytest.mark.parametrize("name", ANCHORS)
def test_one_kernel(name: str) -> None:
    """Operands of every broadcast and layout, branches that meet again, and another type at the end."""
    anchor, constants, kernel = ANCHORS[name]
    text = f"""g (float[2,6,5,5] x, float[2,6,5,5] q, float[5,6,5,2] r, float[6,1,1] c, float[5,1] i, float[5] j)
        => (bool[2,6,5,5] y) {{
        a = {anchor}
        t = Transpose<perm=[3,1,2,0]>(r)
        b1 = Add(a,t)
        b2 = Mul(b1,c)
        b3 = Sub(j,b2)
        b4 = Mul(b1,i)
        b5 = Add(b3,b4)
        b6 = Mul(b5,two)
        y = Greater(b6,q) }}"""
    model = parse(text, {**constants, "two": np.array([2], np.float32)})
    assert [called for called in kernels(model) if called != "copy"] == [kernel]
    assert_equal(compile_(model), model)


def test_an_operand_that_coordinates_cannot_reach_is_copied_first() -> None:
    text = """g (float[2,6,4,3] x, float[3,4,6,2] r) => (float[2,5,4,3] y) {
        t = Transpose(r)
        s = Slice(t,st,en,ax)
        c = Conv(x,w)
        y = Add(c,s) }"""
    constants: dict[str, Initializer] = {"st": np.array([0]), "en": np.array([5]), "ax": np.array([1])}
    model = parse(text, {**constants, "w": (5, 6, 1, 1)})
    assert kernels(model) == ["copy", "dense"]
    assert_equal(compile_(model), model)


def test_a_region_may_read_the_input_of_its_kernel() -> None:
    text = """g (float[1,6,5,5] x) => (float[1,6,5,5] y) {
        c = Conv<pads=[1,1,1,1]>(x,w)
        s = Sigmoid(x)
        a = Add(c,x)
        y = Mul(a,s) }"""
    model = parse(text, {"w": (6, 6, 3, 3)})
    assert_equal(compile_(model), model)


@pytest.mark.parametrize("anchor", ["Neg(x)", "Conv(x,w)"])
def test_each_node_rounds(anchor: str) -> None:
    """Bit for bit: no product and sum of two nodes become one operation, nor does a sum less a term of it vanish."""
    text = f"""g (float[1,1,5,7] x) => (float[1,1,5,7] y) {{
        a = {anchor}
        b = Mul(a,x)
        c = Add(b,a)
        d = Add(c,large)
        e = Sub(d,large)
        y = Mul(e,c) }}"""
    model = parse(text, {"w": np.full((1, 1, 1, 1), 3.3, np.float32), "large": np.array(1e5, np.float32)})
    x = np.random.default_rng(0).standard_normal((1, 1, 5, 7)).astype(np.float32)
    assert_equal_on({"x": x}, model, 0, 0)
