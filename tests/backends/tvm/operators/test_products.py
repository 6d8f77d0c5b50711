from __future__ import annotations

import numpy as np
import pytest

from graphprune.backends.tvm.kernels.view import View
from graphprune.backends.tvm.operators.products import _one_product
from tests.backends.tvm.graphs import assert_equal, compile_, parse

CASES = {
    "two vectors": "g (float[40] a, float[40] b) => (float y) { y = MatMul(a,b) }",
    "a vector and matrices": "g (float[4] a, float[2,4,5] b) => (float[2,5] y) { y = MatMul(a,b) }",
    "matrices and a vector": "g (float[2,4,5] a, float[5] b) => (float[2,4] y) { y = MatMul(a,b) }",
    "a vector and a region": """g (float[5] a, float[5,3] b, float[3] r) => (float[3] y) {
        m = MatMul(a,b)
        y = Add(m,r) }""",
    "batches that repeat both ways": "g (float[3,1,4,5] a, float[2,5,6] b) => (float[3,2,4,6] y) { y = MatMul(a,b) }",
    "a region over repeated batches": """g (float[3,1,4,5] a, float[2,5,6] b, float[2,1,6] r) => (float[3,2,4,6] y) {
        m = MatMul(a,b)
        y = Mul(r,m) }""",
    "one matrix with itself": "g (float[17,17] a) => (float[17,17] y) { y = MatMul(a,a) }",
    "an outer product": "g (float[40,1] a, float[1,33] b) => (float[40,33] y) { y = MatMul(a,b) }",
    "a result that is transposed at once": """g (float[2,9,5] a, float[2,5,20] b) => (float[2,20,9] y) {
        m = MatMul(a,b)
        t = Transpose<perm=[0,2,1]>(m)
        y = Relu(t) }""",
    "a batch that shares a matrix, and a region": """g (float[3,5,8] a, float[8,9] b, float[9] r) => (float[3,5,9] y) {
        m = MatMul(a,b)
        y = Mul(m,r) }""",
    "a batch of vectors that shares a vector": "g (float[3,5,8] a, float[8] b) => (float[3,5] y) { y = MatMul(a,b) }",
    "a batch whose rows lie apart": """g (float[5,3,8] a, float[8,9] b) => (float[3,5,9] y) {
        t = Transpose<perm=[1,0,2]>(a)
        y = MatMul(t,b) }""",
    "doubles and a region": """g (double[2,5,8] a, double[2,8,9] b, double[9] r) => (double[2,5,9] y) {
        m = MatMul(a,b)
        s = Add(m,r)
        y = Sigmoid(s) }""",
    "repeated rows": """g (float[1,5] a, float[5,7] b) => (float[6,7] y) {
        s = Shape(c)
        e = Expand(a,s)
        y = MatMul(e,b) }""",
}


@pytest.mark.parametrize("name", CASES)
def test_equals_onnxruntime(name: str) -> None:
    model = parse(CASES[name], {"c": (6, 5)} if "Shape" in CASES[name] else {})
    assert_equal(compile_(model), model)


def test_a_constant_of_three_axes_is_an_operand_like_others() -> None:
    model = parse("g (float[2,4,5] x) => (float[2,4,3] y) { y = MatMul(x,w) }", {"w": (2, 5, 3)})
    assert_equal(compile_(model), model)


def test_a_constant_of_doubles_is_an_operand_like_others() -> None:
    weight = np.random.default_rng(0).standard_normal((5, 3))
    model = parse("g (double[2,4,5] x) => (double[2,4,3] y) { y = MatMul(x,w) }", {"w": weight})
    assert_equal(compile_(model), model)


def test_a_batch_that_shares_its_right_matrix_is_one_product() -> None:
    a, b = View.dense(0, "float32", (2, 3, 4, 5)), View.dense(1, "float32", (5, 6)).broadcast((2, 3, 5, 6))
    together = _one_product(a, b)
    assert together is not None
    assert (together[0].shape, together[1].shape) == ((24, 5), (5, 6))
    assert _one_product(a.transpose((1, 0, 2, 3)), b.transpose((1, 0, 2, 3))) is None
    assert _one_product(a, View.dense(1, "float32", (2, 1, 5, 6)).broadcast((2, 3, 5, 6))) is None
