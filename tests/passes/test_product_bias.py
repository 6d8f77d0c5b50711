"""Biases of products: where they are, and that adding to them adds to each output channel."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.onnxruntime import session_for
from graphprune.passes.fresh_names import FreshNames
from graphprune.passes.product_bias import add_bias, output_channels, shift_bias
from graphprune.verification.feeds import random_feed
from tests.backends.tvm.graphs import Initializer, parse

MATRIX = "g (float[2,3] x) => (float[2,4] y) {{ {} }}"
PLANES = "g (float[1,6,2,2] x) => (float[1,4,2,2] y) {{ {} }}"
CONV: dict[str, Initializer] = {"w": (4, 3, 1, 1)}
CASES: dict[str, tuple[str, dict[str, Initializer]]] = {
    "Conv": (PLANES.format("[p] y = Conv<group=2>(x,w,b)"), CONV | {"b": (4,)}),
    "Conv without a bias": (PLANES.format("[p] y = Conv<group=2>(x,w)"), CONV),
    "ConvTranspose": (PLANES.format("[p] y = ConvTranspose<group=2>(x,w)"), {"w": (6, 2, 1, 1)}),
    "Gemm": (MATRIX.format("[p] y = Gemm<beta=0.5>(x,w,b)"), {"w": (3, 4), "b": (1, 4)}),
    "Gemm, transposed": (MATRIX.format("[p] y = Gemm<transB=1,beta=2.0>(x,w,b)"), {"w": (4, 3), "b": (1,)}),
    "Gemm without C": (MATRIX.format("[p] y = Gemm<beta=2.0>(x,w)"), {"w": (3, 4)}),
    "MatMul": (MATRIX.format("[p] h = MatMul(x,w) y = Add(b,h)"), {"w": (3, 4), "b": (4,)}),
    "a shared bias": (
        "g (float[2,3] x) => (float[2,4] y, float[2,4] z) { [p] h = MatMul(x,w) y = Add(h,b) z = Mul(y,b) }",
        {"w": (3, 4), "b": (4,)},
    ),
}


def shifted(text: str, initializers: dict[str, Initializer], amounts: list[float]) -> tuple[ir.Model, bool]:
    model = parse(text, initializers)
    product = next(node for node in model.graph if node.name == "p")
    assert output_channels(product) == len(amounts)
    return model, shift_bias(product, np.array(amounts), FreshNames(model))


@pytest.mark.parametrize(("text", "initializers"), CASES.values(), ids=CASES)
def test_each_channel_gets_its_amount(text: str, initializers: dict[str, Initializer]) -> None:
    amounts = [1.0, -2.0, 3.0, 0.5]
    model, is_shifted = shifted(text, initializers, amounts)
    assert is_shifted
    before = parse(text, initializers)
    feed = random_feed(before, seed=1)
    old, new = (session_for(each, optimize=False).run(["y"], feed)[0] for each in (before, model))
    expected = np.array(amounts).reshape(4, *[1] * (old.ndim - 2))
    np.testing.assert_allclose(new - old, np.broadcast_to(expected, old.shape), atol=1e-5)


def test_a_constant_that_others_read_stays() -> None:
    model, _ = shifted(*CASES["a shared bias"], [1.0, 1.0, 1.0, 1.0])
    tensor = model.graph.initializers["b"].const_value
    before = parse(*CASES["a shared bias"]).graph.initializers["b"].const_value
    assert tensor is not None
    assert before is not None
    np.testing.assert_array_equal(tensor.numpy(), before.numpy())


REFUSED: dict[str, tuple[str, dict[str, Initializer]]] = {
    "computed": ("g (float[2,3] x, float[4] b) => (float[2,4] y) { [p] y = Gemm(x,w,b) }", {"w": (3, 4)}),
    "along rows": (MATRIX.format("[p] y = Gemm(x,w,b)"), {"w": (3, 4), "b": (2, 1)}),
    "nothing is added": (MATRIX.format("[p] y = MatMul(x,w)"), {"w": (3, 4)}),
    "no constant is added": (
        "g (float[2,3] x, float[4] b) => (float[2,4] y) { [p] h = MatMul(x,w) y = Add(h,b) }",
        {"w": (3, 4)},
    ),
    "read twice": (
        "g (float[2,3] x) => (float[2,4] y) { [p] h = MatMul(x,w) a = Add(h,b) y = Mul(a,h) }",
        {"w": (3, 4), "b": (4,)},
    ),
}


@pytest.mark.parametrize(("text", "initializers"), REFUSED.values(), ids=REFUSED)
def test_others_are_left_alone(text: str, initializers: dict[str, Initializer]) -> None:
    model, is_shifted = shifted(text, initializers, [1.0] * 4)
    assert not is_shifted
    assert ir.to_onnx_text(model) == ir.to_onnx_text(parse(text, initializers))


ADDED: dict[str, tuple[str, dict[str, Initializer]]] = {
    "has an Add": CASES["MatMul"],
    "has none": (MATRIX.format("[p] y = MatMul(x,w)"), {"w": (3, 4)}),
    "is read twice": (
        "g (float[2,3] x) => (float[2,4] y) { [p] h = MatMul(x,w) c = Tanh(h) y = Sub(h,c) }",
        {"w": (3, 4)},
    ),
    "is in a sum": ("g (float[2,3] x) => (float[2,3] y) { [p] h = MatMul(x,w) y = Add(x,h) }", {"w": (3, 3)}),
}


@pytest.mark.parametrize(("text", "initializers"), ADDED.values(), ids=ADDED)
def test_a_product_without_a_bias_gets_an_add(text: str, initializers: dict[str, Initializer]) -> None:
    model, before = parse(text, initializers), parse(text, initializers)
    product = next(node for node in model.graph if node.name == "p")
    amounts = np.arange(1.0, 1 + output_channels(product))
    assert add_bias(product, amounts, FreshNames(model))
    assert [value.name for value in model.graph.outputs] == ["y"]
    feed = random_feed(before, seed=1)
    (old,), (new,) = (session_for(each, optimize=False).run(["y"], feed) for each in (before, model))
    product_of_feed = feed["x"] @ model.graph.initializers["w"].const_value.numpy()  # type: ignore[union-attr]
    change = amounts - np.tanh(product_of_feed + amounts) + np.tanh(product_of_feed) if "Tanh" in text else amounts
    np.testing.assert_allclose(new - old, np.broadcast_to(change, old.shape), atol=1e-5)


def test_a_computed_bias_gets_no_add() -> None:
    text = "g (float[2,3] x, float[4] t) => (float[2,4] y) { k = Relu(t) [p] y = Gemm(x,w,k) }"
    model = parse(text, {"w": (3, 4)})
    product = next(node for node in model.graph if node.name == "p")
    assert not add_bias(product, np.ones(4), FreshNames(model))
    assert [node.op_type for node in model.graph] == ["Relu", "Gemm"]
