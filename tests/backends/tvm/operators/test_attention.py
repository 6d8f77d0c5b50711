from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.backends.tvm.graphs import assert_equal, assert_equal_on, compile_, kernels, parse

PLAIN = """g (float[2,3,20,4] q, float[2,3,4,9] k, float[2,3,9,5] v) => (float[2,3,20,5] y) {
    s = MatMul(q,k)
    p = Softmax<axis=-1>(s)
    y = MatMul(p,v) }"""
JOINED = {
    "plain": PLAIN,
    "scaled, masked and rows of nothing": """g (
        float[1,2,20,4] q, float[1,2,4,9] k, float[1,2,9,5] v, float[1,1,20,9] m)
        => (float[1,2,20,5] y) {
        s = MatMul(q,k)
        h = Mul(s,half)
        a = Add(h,m)
        p = Softmax<axis=3>(a)
        n = IsNaN(p)
        c = Where(n,nothing,p)
        o = MatMul(c,v)
        y = Relu(o) }""",
    "masked by keys": """g (float[2,3,20,4] q, float[2,3,4,9] k, float[2,3,9,5] v, bool[2,1,1,9] m)
        => (float[2,3,20,5] y) {
        s = MatMul(q,k)
        a = Where(m,s,nothing)
        p = Softmax<axis=-1>(a)
        y = MatMul(p,v) }""",
    "a bias of each score": """g (float[3,20,4] q, float[3,4,9] k, float[3,9,5] v, float[3,20,9] m)
        => (float[3,20,5] y) {
        s = MatMul(q,k)
        a = Add(m,s)
        p = Softmax<axis=-1>(a)
        y = MatMul(p,v) }""",
    "operands of every stage": """g (
        float[3,20,4] q, float[3,4,9] k, float[3,9,5] v, float[3,20,9] m, float[20,9] r, float[5] u)
        => (float[3,20,5] y) {
        s = MatMul(q,k)
        a = Add(m,s)
        p = Softmax<axis=-1>(a)
        d = Mul(p,r)
        o = MatMul(d,v)
        y = Add(o,u) }""",
    "a constant bias": """g (float[3,20,4] q, float[3,4,9] k, float[3,9,5] v) => (float[3,20,5] y) {
        s = MatMul(q,k)
        a = Add(s,bias)
        p = Softmax<axis=-1>(a)
        y = MatMul(p,v) }""",
    "keys and values that heads share": """g (float[2,3,20,4] q, float[2,1,4,9] k, float[9,5] v)
        => (float[2,3,20,5] y) {
        s = MatMul(q,k)
        p = Softmax<axis=-1>(s)
        y = MatMul(p,v) }""",
    "one matrix": """g (float[20,4] q, float[4,9] k, float[9,5] v) => (float[20,5] y) {
        s = MatMul(q,k)
        p = Softmax<axis=1>(s)
        y = MatMul(p,v) }""",
    "of one projection, into the next": """g (float[1,20,12] x) => (float[1,20,12] y) {
        h = MatMul(x,w)
        r = Reshape(h,heads)
        q = Transpose<perm=[0,2,1,3]>(r)
        k = Transpose<perm=[0,2,3,1]>(r)
        s = MatMul(q,k)
        p = Softmax<axis=-1>(s)
        o = MatMul(p,q)
        t = Transpose<perm=[0,2,1,3]>(o)
        z = Reshape(t,rows)
        y = MatMul(z,w) }""",
    "an output of another element type": """g (float[20,4] q, float[4,9] k, float[9,5] v) => (double[20,5] y) {
        s = MatMul(q,k)
        p = Softmax<axis=-1>(s)
        o = MatMul(p,v)
        y = Cast<to=11>(o) }""",
}
APART = {
    "scores that leave": PLAIN.replace("5] y)", "5] y, float[2,3,20,9] s)"),
    "shares that leave": PLAIN.replace("5] y)", "5] y, float[2,3,20,9] p)"),
    "scores that are read twice": PLAIN.replace("y = ", "z = ReduceMax(s)\n    y = ").replace(
        "5] y)", "5] y, float[1,1,1,1] z)"
    ),
    "a softmax over queries": PLAIN.replace("axis=-1", "axis=2"),
    "fewer queries than lanes": PLAIN.replace("20", "15"),
    "doubles": PLAIN.replace("float", "double"),
    "a softmax on the right": """g (float[20,20] q, float[20,20] k, float[20,20] v) => (float[20,20] y) {
        s = MatMul(q,k)
        p = Softmax<axis=-1>(s)
        y = MatMul(v,p) }""",
    "keys that are constant": """g (float[3,20,9] q, float[3,9,5] v) => (float[3,20,5] y) {
        s = MatMul(q,square)
        p = Softmax<axis=-1>(s)
        y = MatMul(p,v) }""",
    "values of more matrices than scores": """g (float[20,4] q, float[4,9] k, float[3,9,5] v) => (float[3,20,5] y) {
        s = MatMul(q,k)
        p = Softmax<axis=-1>(s)
        y = MatMul(p,v) }""",
    "values of several matrices for one of scores": """g (float[1,20,4] q, float[1,4,9] k, float[3,9,5] v)
        => (float[3,20,5] y) {
        s = MatMul(q,k)
        p = Softmax<axis=-1>(s)
        y = MatMul(p,v) }""",
    "a vector of values": """g (float[20,4] q, float[4,9] k, float[9] v) => (float[20] y) {
        s = MatMul(q,k)
        p = Softmax<axis=-1>(s)
        y = MatMul(p,v) }""",
    "halves between": """g (float[20,4] q, float[4,9] k, float[9,5] v) => (float[20,5] y) {
        s = MatMul(q,k)
        d = Cast<to=11>(s)
        p = Softmax<axis=-1>(d)
        f = Cast<to=1>(p)
        y = MatMul(f,v) }""",
}
CONSTANTS: dict[str, Any] = {
    "half": np.array(0.5, np.float32),
    "nothing": np.array(0, np.float32),
    "bias": (3, 20, 9),
    "w": (12, 12),
    "square": (9, 9),
    "heads": np.array([1, 20, 3, 4]),
    "rows": np.array([1, 20, 12]),
}


def used(text: str) -> dict[str, Any]:
    words = set(text.replace("(", " ").replace(")", " ").replace(",", " ").split())
    return {name: value for name, value in CONSTANTS.items() if name in words}


@pytest.mark.parametrize("name", JOINED)
def test_one_kernel_gives_what_three_give(name: str) -> None:
    model = parse(JOINED[name], used(JOINED[name]))
    assert kernels(model).count("attention") == 1
    assert not {"rows", "matmul"} & set(kernels(model))
    assert_equal(compile_(model), model)


@pytest.mark.parametrize("name", APART)
def test_what_stays_apart(name: str) -> None:
    model = parse(APART[name], used(APART[name]))
    assert "attention" not in kernels(model)
    assert_equal(compile_(model), model)


def test_scores_that_are_an_attention_themselves() -> None:
    """Two chains that share a product: only one of them can be one kernel."""
    text = """g (float[20,20] q, float[20,20] k, float[20,20] v, float[20,20] w) => (float[20,20] y) {
        s = MatMul(q,k)
        p = Softmax<axis=-1>(s)
        t = MatMul(p,v)
        r = Softmax<axis=-1>(t)
        y = MatMul(r,w) }"""
    model = parse(text)
    assert kernels(model) == ["attention", "rows", "matmul"]
    assert_equal(compile_(model), model)


def test_a_query_without_keys_is_nan_in_both() -> None:
    """A row of minus infinities has no largest element, so that its softmax is NaN."""
    text = JOINED["a bias of each score"]
    bias = np.zeros((3, 20, 9), np.float32)
    bias[1, 4], bias[2, :, 3] = -np.inf, -np.inf
    rng = np.random.default_rng(0)
    feed = {n: rng.standard_normal(s).astype("f4") for n, s in (("q", (3, 20, 4)), ("k", (3, 4, 9)), ("v", (3, 9, 5)))}
    assert_equal_on({**feed, "m": bias}, parse(text), rtol=2e-5)
