from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.tvm.operators.views import constant_ints, input_value
from graphprune.errors import BackendError, UnsupportedModelError
from tests.backends.tvm.graphs import Initializer, assert_equal, compile_, kernels, parse

LARGE, SMALL = np.array([2**63 - 1]), np.array([-(2**63)])
CASES: dict[str, tuple[str, dict[str, Initializer]]] = {
    "slice with negative starts, ends, axes and steps": (
        "g (float[4,6] x) => (float[2,3] y) { y = Slice(x,st,en,ax,step) }",
        {
            "st": np.array([-3, -1]),
            "en": np.array([-1, -100]),
            "ax": np.array([-2, -1]),
            "step": np.array([1, -2]),
        },
    ),
    "slice to the largest end": (
        "g (float[4,6] x) => (float[3,6] y) { y = Slice(x,st,en) }",
        {"st": np.array([1]), "en": LARGE},
    ),
    "slice backwards to the smallest end": (
        "g (float[4,6] x) => (float[4,6] y) { y = Slice(x,st,en,ax,step) }",
        {"st": LARGE, "en": SMALL, "ax": np.array([1]), "step": np.array([-1])},
    ),
    "slice of nothing beside something": (
        "g (float[4,6] x) => (float[0,6] y, float[4,6] z) { y = Slice(x,st,en)\n z = Relu(x) }",
        {"st": np.array([3]), "en": np.array([1])},
    ),
    "slice of a slice of a transpose": (
        """g (float[4,9] x) => (float[3,2] y) {
            t = Transpose(x)
            a = Slice(t,st,en,ax,step)
            y = Slice(a,st,en2,ax2,step) }""",
        {
            "st": np.array([-1]),
            "en": np.array([1]),
            "ax": np.array([0]),
            "step": np.array([-3]),
            "en2": SMALL,
            "ax2": np.array([1]),
        },
    ),
    "split along the last axis": (
        "g (float[4,6] x) => (float[4,2] y, float[4,1] z, float[4,3] u) { y,z,u = Split<axis=-1>(x,s) }",
        {"s": np.array([2, 1, 3])},
    ),
    "split in uneven parts": (
        "g (float[4,7] x) => (float[4,3] y, float[4,3] z, float[4,1] u) { y,z,u = Split<axis=1,num_outputs=3>(x) }",
        {},
    ),
    "squeeze and unsqueeze": (
        """g (float[1,4,1] x, float s) => (float[4] a, float[4,1] b, float[1,1,4,1,1] c, float[1] d) {
            a = Squeeze(x)
            b = Squeeze(x,zero)
            c = Unsqueeze(x,ends)
            d = Unsqueeze(s,zero) }""",
        {"zero": np.array([0]), "ends": np.array([0, -1])},
    ),
    "flatten at both ends": (
        """g (float[2,3,4] x) => (float[1,24] a, float[6,4] b, float[24,1] c) {
            a = Flatten<axis=0>(x)
            b = Flatten<axis=-1>(x)
            c = Flatten<axis=3>(x) }""",
        {},
    ),
    "reshape with copied and inferred extents": (
        "g (float[2,3,4] x) => (float[2,12] y, float[24] z) { y = Reshape(x,s)\n z = Reshape(y,m) }",
        {"s": np.array([0, -1]), "m": np.array([-1])},
    ),
    "scalars": (
        """g (float x) => (float a, float b, float[1,1] c, float[2,3] d) {
            a = Transpose(x)
            b = Identity(x)
            c = Reshape(x,one)
            d = Expand(x,s) }""",
        {"one": np.array([1, 1]), "s": np.array([2, 3])},
    ),
    "expand both ways": (
        "g (float[3,1] x) => (float[2,3,4] y) { y = Expand(x,s) }",
        {"s": np.array([2, 1, 4])},
    ),
    "expand by fewer axes": ("g (float[3,1] x) => (float[3,4] y) { y = Expand(x,s) }", {"s": np.array([4])}),
    "inference dropout": ("g (float[3,4] x) => (float[3,4] y) { d = Dropout(x)\n y = Neg(d) }", {}),
    "one value twice": (
        """g (float[3,4] x) => (float[3,4] y, float[3,4] z, float[4,3] u) {
            y = Neg(x)
            z = Identity(y)
            u = Transpose(y) }""",
        {},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_equals_onnxruntime(name: str) -> None:
    model = parse(*CASES[name])
    assert_equal(compile_(model), model)


def test_views_cost_nothing() -> None:
    """One kernel reads through all of them."""
    text = """g (float[4,10,6] x) => (float[2,5] y) {
        t = Transpose<perm=[2,0,1]>(x)
        s = Slice(t,st,en,ax,step)
        a, b = Split<axis=2,num_outputs=2>(s)
        r = Reshape(b,shape)
        u = Unsqueeze(r,one)
        f = Gather(u,index)
        y = ReduceSum<keepdims=0>(f,axes) }"""
    constants: dict[str, Initializer] = {
        "st": np.array([-1]),
        "en": np.array([-100]),
        "ax": np.array([0]),
        "step": np.array([-2]),
        "shape": np.array([3, 2, 2, 5]),
        "one": np.array([1]),
        "index": np.array([2, 1, 0]),
        "axes": np.array([0, 1, 2]),
    }
    model = parse(text, constants)
    assert_equal(compile_(model), model)
    assert kernels(model) == ["reduce"]


def test_a_reshape_that_no_strides_express_is_one_copy() -> None:
    model = parse("g (float[4,6] x) => (float[24] y) { t = Transpose(x)\n y = Reshape(t,s) }", {"s": np.array([24])})
    assert kernels(model) == ["copy"]


def test_bounds_computed_at_run_time_are_refused() -> None:
    text = "g (float[4,6] x, int64[1] s) => (float[n,6] y) { [cut] y = Slice(x,s,e) }"
    with pytest.raises(UnsupportedModelError, match=r"'cut' \(Slice\): input 's' must be constant \[GP401\]"):
        compile_(parse(text, {"e": np.array([3])}))


def test_an_input_that_is_missing_is_named() -> None:
    node = ir.node("Conv", [ir.Value(name="x"), None], name="conv1")
    with pytest.raises(BackendError, match=r"node 'conv1' \(Conv\): input 1 is missing \[GP404\]"):
        input_value(node, 1)


def test_integers_that_are_computed_are_named() -> None:
    node = ir.node("Slice", [ir.Value(name="x"), ir.Value(name="starts"), None], name="cut")
    assert constant_ints(node, 2) is None
    assert constant_ints(node, 3) is None
    with pytest.raises(BackendError, match=r"node 'cut' \(Slice\): input 'starts' must be constant \[GP405\]"):
        constant_ints(node, 1)
