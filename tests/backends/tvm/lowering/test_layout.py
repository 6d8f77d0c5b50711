from __future__ import annotations

import numpy as np
import pytest

from graphprune.backends.tvm.lowering.fusion import fuse
from graphprune.backends.tvm.lowering.layout import channel_major, plan_layouts
from graphprune.passes.shape_inference import infer_shapes
from tests.backends.tvm.graphs import Initializer, parse

ELEMENTWISE = ("Add", "Relu")


def planned(text: str, initializers: dict[str, Initializer] | None = None) -> dict[str, tuple[int, ...]]:
    model = parse(text, initializers)
    infer_shapes(model)
    layouts = plan_layouts(fuse(model.graph, ELEMENTWISE, ("MatMul",)), ELEMENTWISE.__contains__)
    return {value.name or "": order for value, order in layouts.items()}


def test_channel_major() -> None:
    assert channel_major(3) == (2, 0, 1)


def test_a_linear_layer_wants_channels_slowest_through_everything_before_it() -> None:
    text = """g (float[1,10,32] x) => (float[1,10,48] y) {
        a = Relu(x)
        n = LayerNormalization(a,s)
        y = MatMul(n,w) }"""
    layouts = planned(text, {"s": (32,), "w": (32, 48)})
    assert {layouts[name] for name in ("x", "a", "n")} == {(2, 0, 1)}
    assert "y" not in layouts


def test_attention_keeps_tokens_fastest() -> None:
    text = """g (float[1,4,10,10] p, float[1,4,10,8] v) => (float[1,10,32] y) {
        s = Softmax(p)
        c = MatMul(s,v)
        t = Transpose<perm=[0,2,1,3]>(c)
        r = Reshape(t,shape)
        y = MatMul(r,w) }"""
    layouts = planned(text, {"shape": np.array([1, 10, 32]), "w": (32, 32)})
    assert layouts["r"] == (2, 0, 1)
    assert layouts["t"] == (0, 2, 3, 1)
    assert layouts["c"] == (0, 1, 3, 2)
    assert layouts["s"] == layouts["p"] == (0, 1, 3, 2)


def test_a_reshape_that_mixes_axes_carries_nothing() -> None:
    text = """g (float[6,4] x) => (float[8,3] y) {
        r = Reshape(x,shape)
        y = MatMul(r,w) }"""
    layouts = planned(text, {"shape": np.array([8, 3]), "w": (3, 3)})
    assert layouts["r"] == (1, 0)
    assert "x" not in layouts


def test_the_first_reader_wins() -> None:
    text = """g (float[1,10,32] x) => (float[1,10,48] y, float[1,10,10] z) {
        a = Relu(x)
        y = MatMul(a,w)
        t = Transpose<perm=[0,2,1]>(a)
        z = MatMul(x,t) }"""
    assert planned(text, {"w": (32, 48)})["a"] == (2, 0, 1)


@pytest.mark.parametrize(("trans_a", "expected"), [(0, (1, 0)), (1, None)])
def test_gemm(trans_a: int, expected: tuple[int, ...] | None) -> None:
    text = f"g (float[8,8] x) => (float[8,4] y) {{ y = Gemm<transA={trans_a}>(x,w) }}"
    assert planned(text, {"w": (8, 4)}).get("x") == expected


def test_what_is_transposed_for_the_caller_lies_as_the_caller_gets_it() -> None:
    text = """g (float[2,3,4] x) => (float[4,2,3] y, float[3,2,4] n) {
        a = Relu(x)
        y = Transpose<perm=[2,0,1]>(a)
        b = Relu(x)
        t = Transpose<perm=[1,0,2]>(b)
        n = Neg(t) }"""
    layouts = planned(text)
    assert layouts["a"] == (2, 0, 1)
    assert "b" not in layouts
