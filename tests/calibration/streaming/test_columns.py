"""What weights multiply, as columns: times the rows of the weight it is the product itself."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.analysis.weights import LinearWeight, linear_weights
from graphprune.backends.onnxruntime import session_for
from graphprune.calibration.streaming.columns import columns, how_multiplied, multiplied, why_no_columns
from graphprune.passes.shape_inference import infer_shapes
from tests.backends.tvm.graphs import Initializer, parse

CASES: dict[str, tuple[str, dict[str, Initializer]]] = {
    "Conv": (
        "g (float[2,4,7,6] x) => (float[n,c,h,v] y) { y = Conv<pads=[1,0,2,1],strides=[2,1]>(x,w) }",
        {"w": (5, 4, 3, 2)},
    ),
    "dilated": ("g (float[1,4,9,9] x) => (float[n,c,h,v] y) { y = Conv<dilations=[2,3]>(x,w) }", {"w": (5, 4, 3, 3)}),
    "grouped": (
        'g (float[2,6,5,5] x) => (float[n,c,h,v] y) { y = Conv<group=3,auto_pad="SAME_UPPER">(x,w) }',
        {"w": (6, 2, 3, 3)},
    ),
    "1-D": ("g (float[2,4,9] x) => (float[n,c,h] y) { y = Conv<strides=[2]>(x,w) }", {"w": (3, 4, 4)}),
    "3-D": ("g (float[1,2,4,5,6] x) => (float[n,c,a,b,d] y) { y = Conv(x,w) }", {"w": (3, 2, 2, 3, 2)}),
    "MatMul": ("g (float[2,3,5] x) => (float[2,3,4] y) { y = MatMul(x,w) }", {"w": (5, 4)}),
    "transposed weight": ("g (float[2,3,5] x) => (float[2,3,4] y) { t = Transpose(w) y = MatMul(x,t) }", {"w": (4, 5)}),
    "from the left": ("g (float[2,5,3] x) => (float[2,4,3] y) { y = MatMul(w,x) }", {"w": (4, 5)}),
    "Gemm": ("g (float[3,5] x) => (float[3,4] y) { y = Gemm<transB=1>(x,w) }", {"w": (4, 5)}),
    "Gemm of a transposed input": ("g (float[5,3] x) => (float[3,4] y) { y = Gemm<transA=1>(x,w) }", {"w": (5, 4)}),
    "Gemm from the left": ("g (float[3,5] x) => (float[4,3] y) { y = Gemm<transB=1>(w,x) }", {"w": (4, 5)}),
    "Gemm from the left, turned": ("g (float[5,3] x) => (float[4,3] y) { y = Gemm<transA=1>(w,x) }", {"w": (5, 4)}),
}


def only_weight(model: ir.Model) -> LinearWeight:
    infer_shapes(model)
    (weight,), _ = linear_weights(model)
    return weight


@pytest.mark.parametrize("name", CASES)
def test_columns_times_rows_are_the_product(name: str) -> None:
    text, initializers = CASES[name]
    model = parse(text, initializers)
    weight = only_weight(model)
    assert why_no_columns(weight, model.graph) is None
    assert multiplied(weight) is model.graph.inputs[0]
    shape = model.graph.inputs[0].shape
    extents = () if shape is None else shape.numpy()
    x = np.random.default_rng(0).standard_normal(extents).astype(np.float32)
    (y,) = session_for(model, optimize=False).run(["y"], {"x": x})
    axis = 1 if "Conv" in text else y.ndim - (2 if "(w,x)" in text else 1)
    if name.startswith("Gemm from the left"):
        axis = 0
    expected = np.moveaxis(y, axis, -1).reshape(-1, y.shape[axis])
    matrices = columns(weight, x)
    rows = np.split(weight.axes.rows(weight.tensor.numpy()).reshape(y.shape[axis], -1), len(matrices))
    found = [matrix @ part.T for matrix, part in zip(matrices, rows, strict=True)]
    np.testing.assert_allclose(np.concatenate(found, axis=1), expected, rtol=1e-4, atol=1e-5)


REFUSED: dict[str, tuple[str, dict[str, Initializer], str]] = {
    "shared": ("g (float[2,4] x) => (float[2,4] y) { h = MatMul(x,w) y = MatMul(h,w) }", {"w": (4, 4)}, "GP314"),
    "transposed convolution": (
        "g (float[1,4,3,3] x) => (float[1,5,h,v] y) { y = ConvTranspose(x,w) }",
        {"w": (4, 5, 2, 2)},
        "GP316",
    ),
    "recurrent": (
        "g (float[3,1,4] x) => (float[3,1,1,5] y) { y = RNN<hidden_size=5>(x,w,r) }",
        {"w": (1, 5, 4), "r": (1, 5, 5)},
        "GP316",
    ),
    "unknown padding": (
        'g (float[1,4,h,h] x) => (float[1,5,v,v] y) { y = Conv<auto_pad="SAME_UPPER",strides=[2,2]>(x,w) }',
        {"w": (5, 4, 3, 3)},
        "GP317",
    ),
    "turned kernel": (
        "g (float[1,4,6,6] x) => (float[1,5,v,z] y) { t = Transpose<perm=[0,1,3,2]>(w) y = Conv(x,t) }",
        {"w": (5, 4, 3, 2)},
        "GP317",
    ),
    "in a subgraph": (
        """g (float[2,4] x, bool c) => (float[2,4] y) {
            y = If (c) <then_branch = a () => (float[2,4] p) { p = MatMul(x,w) },
                        else_branch = b () => (float[2,4] q) { q = Identity(x) }> }""",
        {"w": (4, 4)},
        "GP315",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_samples_do_not_show(name: str) -> None:
    text, initializers, code = REFUSED[name]
    model = parse(text, initializers)
    infer_shapes(model)
    found = [why_no_columns(weight, model.graph) for weight in linear_weights(model)[0]]
    assert found
    assert {refusal and refusal[0] for refusal in found} == {code}


def test_convolutions_of_one_kernel_see_the_same() -> None:
    text = """g (float[1,4,6,6] x) => (float[1,5,6,6] y) {
        a = Conv<pads=[1,1,1,1]>(x,u) b = Conv<pads=[1,1,1,1]>(x,v) c = Conv(x,w) s = Add(a,b) y = Add(s,c) }"""
    model = parse(text, {"u": (5, 4, 3, 3), "v": (5, 4, 3, 3), "w": (5, 4, 1, 1)})
    u, v, w = (how_multiplied(weight) for weight in linear_weights(model)[0])
    assert u == v != w
