"""Convolutions by weights that are inputs or results: the dense kernel, packed in each run."""

from __future__ import annotations

import numpy as np
import pytest

from tests.backends.tvm.graphs import Initializer, assert_equal, compile_, parse

CASES: dict[str, tuple[str, dict[str, Initializer]]] = {
    "1x1": ("g (float[2,6,5,7] x, float[4,6,1,1] w) => (float[2,4,5,7] y) { y = Conv(x,w) }", {}),
    "3x3 with a bias": (
        """g (float[1,6,9,20] x, float[24,6,3,3] w, float[24] b) => (float[1,24,9,20] y) {
            y = Conv<pads=[1,1,1,1]>(x,w,b)
        }""",
        {},
    ),
    "a prime number of outputs": (
        "g (float[1,3,9,9] x, float[13,3,3,3] w) => (float[1,13,7,7] y) { y = Conv(x,w) }",
        {},
    ),
    "groups": ("g (float[1,6,9,9] x, float[8,3,3,3] w) => (float[1,8,7,7] y) { y = Conv<group=2>(x,w) }", {}),
    "depthwise": ("g (float[1,5,9,9] x, float[5,1,3,3] w) => (float[1,5,7,7] y) { y = Conv<group=5>(x,w) }", {}),
    "strided and dilated": (
        """g (float[1,4,15,17] x, float[6,4,3,2] w) => (float[1,6,6,8] y) {
            y = Conv<strides=[2,2],dilations=[2,1]>(x,w)
        }""",
        {},
    ),
    "one axis": (
        "g (float[2,4,50] x, float[6,4,5] w) => (float[2,6,25] y) { y = Conv<strides=[2],pads=[2,2]>(x,w) }",
        {},
    ),
    "the weight turned": (
        """g (float[1,4,9,9] x, float[4,6,3,3] v) => (float[1,6,7,7] y) {
            w = Transpose<perm=[1,0,2,3]>(v) y = Conv(x,w)
        }""",
        {},
    ),
    "modulated, and what follows": (
        """g (float[1,4,9,9] x, float[1,4,1,1] style, float[1,6,9,9] r) => (float[1,6,9,9] y) {
            m = Mul(w, style) c = Conv<pads=[1,1,1,1]>(x,m,b) a = Add(c,r) y = Relu(a)
        }""",
        {"w": (6, 4, 3, 3), "b": (6,)},
    ),
}


@pytest.mark.parametrize("target", ["x86-64-v3", "native"])
@pytest.mark.parametrize(("text", "constants"), CASES.values(), ids=CASES.keys())
def test_matches_onnx_runtime(text: str, constants: dict[str, Initializer], target: str) -> None:
    model = parse(text, constants)
    session = compile_(model, target)
    assert_equal(session, model)
    assert "dense" in [call.kernel for call in session.calls]


def test_volumes_are_computed_as_well() -> None:
    model = parse("g (float[1,3,5,5,5] x, float[4,3,3,3,3] w) => (float[1,4,3,3,3] y) { y = Conv(x,w) }")
    assert_equal(compile_(model), model)


def test_each_run_takes_its_own_weight() -> None:
    session = compile_(parse("g (float[1,2,3,3] x, float[3,2,1,1] w) => (float[1,3,3,3] y) { y = Conv(x,w) }"))
    x = np.ones((1, 2, 3, 3), np.float32)
    for value in (1.0, -2.0):
        (y,) = session.run(None, {"x": x, "w": np.full((3, 2, 1, 1), value, np.float32)})
        np.testing.assert_array_equal(y, np.full((1, 3, 3, 3), 2 * value, np.float32))
