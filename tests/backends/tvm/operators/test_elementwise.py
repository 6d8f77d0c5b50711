from __future__ import annotations

import numpy as np
import pytest

from tests.backends.tvm.graphs import Initializer, assert_equal, compile_, kernels, parse

CASES: dict[str, tuple[str, dict[str, Initializer]]] = {
    "scalars": ("g (float x, float z) => (float y) { a = Add(x,z)\n y = Mul(a,x) }", {}),
    "operands that broadcast along every axis": (
        """g (float[3,1,5] a, float[4,1] b, float c, float[1] d) => (float[3,4,5] y) {
            s = Add(a,b)
            t = Mul(s,c)
            y = Sub(t,d) }""",
        {},
    ),
    "operands of other types": (
        "g (bool[4,1] m, float[3] a, float b) => (float[4,3] y) { y = Where(m,a,b) }",
        {},
    ),
    "booleans, several of them read twice": (
        """g (bool[41] a, bool[41] b) => (bool[41] y) {
            c = And(a,b)
            d = Not(c)
            e = Xor(d,c)
            f = Or(d,a)
            y = And(e,f) }""",
        {},
    ),
    "an operand transposed": (
        "g (float[7,37] x, float[37,7] z) => (float[7,37] y) { t = Transpose(z)\n y = Add(x,t) }",
        {},
    ),
    "all operands transposed": (
        """g (float[37,7] x, float[37,7] z) => (float[7,37] y) {
            a = Transpose(x)
            b = Transpose(z)
            y = Add(a,b) }""",
        {},
    ),
    "operands read backwards, and in part": (
        """g (float[6,33] x) => (float[3,33] y) {
            a, b = Split<axis=0,num_outputs=2>(x)
            r = Slice(a,st,en,ax,step)
            y = Sub(r,b) }""",
        {"st": np.array([-1]), "en": np.array([-99]), "ax": np.array([1]), "step": np.array([-1])},
    ),
    "one operand twice": ("g (float[4,5] x) => (float[4,5] y) { r = Relu(x)\n y = Mul(r,r) }", {}),
    "a constant operand that is larger": ("g (float[1,5] x) => (float[4,5] y) { y = Add(c,x) }", {"c": (4, 5)}),
    "batch normalisation of any rank": (
        """g (float[2,3,4,5] x, float[2,3] z) => (float[2,3,4,5] y, float[2,3] u) {
            y = BatchNormalization(x,w,b,m,v)
            u = BatchNormalization(z,w,b,m,v) }""",
        {"w": (3,), "b": (3,), "m": (3,), "v": np.array([0.5, 1, 2], np.float32)},
    ),
    "batch normalisation whose factors are computed at run time": (
        """g (float[2,3,4] x, float[3] w) => (float[2,3,4] y) {
            n = Neg(w)
            a = BatchNormalization(x,n,b,w,v)
            y = Relu(a) }""",
        {"b": (3,), "v": np.array([0.5, 1, 2], np.float32)},
    ),
}


@pytest.mark.parametrize("target", ["native", "x86-64-v3"])
@pytest.mark.parametrize("name", CASES)
def test_equals_onnxruntime(name: str, target: str) -> None:
    model = parse(*CASES[name])
    assert_equal(compile_(model, target, threads=2), model)


def test_a_chain_is_one_kernel() -> None:
    text = """g (float[4,5] x, float[5] b) => (float[4,5] y) {
        a = Add(x,b)
        s = Sigmoid(a)
        m = Mul(a,s)
        y = Neg(m) }"""
    assert kernels(parse(text)) == ["elementwise"]


def test_a_result_of_another_shape_is_another_kernel() -> None:
    text = "g (float[4,1] x, float[1,5] b) => (float[4,5] y) { r = Relu(x)\n y = Add(r,b) }"
    assert kernels(parse(text)) == ["elementwise", "elementwise"]


def test_a_result_that_others_read_too_ends_its_kernel() -> None:
    text = "g (float[4,5] x) => (float[4,5] y, float[4,5] z) { y = Relu(x)\n z = Neg(y) }"
    model = parse(text)
    assert kernels(model) == ["elementwise", "elementwise"]
    assert_equal(compile_(model), model)
