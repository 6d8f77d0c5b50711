"""Products between DequantizeLinear and QuantizeLinear as products of integers."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.backends.base import tensor_infos
from graphprune.backends.onnxruntime import session_for
from graphprune.backends.tvm.lowering.graph import constant_array
from graphprune.verification.feeds import random_feed
from tests.backends.tvm.graphs import Initializer, compile_, operators, parse, prepared

RNG = np.random.default_rng(0)


def signed(*shape: int) -> np.ndarray:
    return RNG.integers(-127, 128, shape).astype(np.int8)


def unsigned(*shape: int) -> np.ndarray:
    return RNG.integers(1, 256, shape).astype(np.uint8)


def scales(count: int) -> np.ndarray:
    return RNG.uniform(0.001, 0.01, count).astype(np.float32)


ZERO: dict[str, Initializer] = {"xz": np.array(121, np.uint8), "xs": np.array(0.02, np.float32)}
DATA = "d = DequantizeLinear(x,xs,xz)"

CASES: dict[str, tuple[str, str, dict[str, Initializer]]] = {
    "Conv": (
        "uint8[1,6,8,8] x) => (float[1,4,8,8] y",
        f"{DATA}\n v = DequantizeLinear<axis=0>(w,s)\n y = Conv<pads=[1,1,1,1]>(d,v,b)",
        {"w": signed(4, 6, 3, 3), "s": scales(4), "b": (4,)},
    ),
    "Conv over one axis, one scale": (
        "uint8[1,6,8] x) => (float[1,4,6] y",
        f"{DATA}\n v = DequantizeLinear(w,s)\n y = Conv(d,v)",
        {"w": signed(4, 6, 3), "s": scales(1).reshape(())},
    ),
    "a bias of integers": (
        "uint8[1,6,8,8] x) => (float[1,4,8,8] y",
        f"{DATA}\n v = DequantizeLinear<axis=0>(w,s)\n c = DequantizeLinear<axis=0>(b,bs)\n y = Conv(d,v,c)",
        {"w": signed(4, 6, 1, 1), "s": scales(4), "b": np.array([1, -900, 77, 5], np.int32), "bs": scales(4)},
    ),
    "MatMul": (
        "uint8[5,12] x) => (float[5,7] y",
        f"{DATA}\n v = DequantizeLinear<axis=1>(w,s)\n y = MatMul(d,v)",
        {"w": signed(12, 7), "s": scales(7)},
    ),
    "Gemm by a turned weight": (
        "uint8[5,12] x) => (float[5,7] y",
        f"{DATA}\n v = DequantizeLinear<axis=0>(w,s)\n y = Gemm<transB=1>(d,v,b)",
        {"w": signed(7, 12), "s": scales(7), "b": (7,)},
    ),
    "unsigned weights": (
        "uint8[5,12] x) => (float[5,7] y",
        f"{DATA}\n v = DequantizeLinear<axis=1>(w,s,z)\n y = MatMul(d,v)",
        {"w": unsigned(12, 7), "s": scales(7), "z": np.full(7, 128, np.uint8)},
    ),
    "a weight that the graph quantizes": (
        "uint8[5,12] x) => (float[5,7] y",
        f"{DATA}\n q = QuantizeLinear(f,s,z)\n v = DequantizeLinear(q,s,z)\n y = MatMul(d,v)",
        {"f": (12, 7), "s": np.array(0.02, np.float32), "z": np.array(0, np.int8)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_products_become_those_of_integers(name: str) -> None:
    signature, body, constants = CASES[name]
    model = parse(f"g ({signature}) {{ {body} }}", {**ZERO, **constants}, opset=21)
    assert operators(model)[0] in {"ConvInteger", "MatMulInteger"}
    assert "DequantizeLinear" not in operators(model)
    feed = random_feed(tensor_infos(model.graph.inputs), 0)
    expected = session_for(model, optimize=False).run(None, feed)[0]
    found = compile_(model).run(None, feed)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def product(dequantize: str, weight: str, operator: str = "MatMul(d,v)") -> str:
    return f"{dequantize}\n {weight}\n y = {operator}"


BY_OUTPUT = "v = DequantizeLinear<axis=1>(w,s)"
KEPT: dict[str, tuple[str, dict[str, Initializer]]] = {
    "activations of several scales": (product("d = DequantizeLinear<axis=1>(x,many)", BY_OUTPUT), {"many": scales(12)}),
    "a scale that is computed": (product("q = Abs(given)\n d = DequantizeLinear(x,q)", BY_OUTPUT), {}),
    "scales of inputs": (product(DATA, "v = DequantizeLinear<axis=0>(w,rows)"), {"rows": scales(12)}),
    "blocks": (
        product(DATA, "v = DequantizeLinear<axis=0,block_size=6>(w,blocks)"),
        {"blocks": scales(14).reshape(2, 7)},
    ),
    "weights below signed bytes": (
        product(DATA, "v = DequantizeLinear<axis=1>(u,s,z)"),
        {"u": np.zeros((12, 7), np.uint8), "z": np.full(7, 129, np.uint8)},
    ),
    "weights above signed bytes": (
        product(DATA, "v = DequantizeLinear<axis=1>(u,s,z)"),
        {"u": np.full((12, 7), 255, np.uint8), "z": np.full(7, 1, np.uint8)},
    ),
    "weights of 16 bits": (product(DATA, "v = DequantizeLinear<axis=1>(u,s)"), {"u": np.ones((12, 7), np.int16)}),
    "a factor": (product(DATA, BY_OUTPUT, "Gemm<alpha=0.5>(d,v)"), {}),
    "a turned operand": (product(f"{DATA}\n t = Transpose(d)", BY_OUTPUT, "Gemm<transA=1>(t,v)"), {}),
}


@pytest.mark.parametrize("name", KEPT)
def test_others_stay_products_of_floats(name: str) -> None:
    body, constants = KEPT[name]
    text = f"g (uint8[5,12] x, float given) => (float[5,7] y) {{ {body} }}"
    every: dict[str, Initializer] = {"w": signed(12, 7), "s": scales(7), **ZERO, **constants}
    model = parse(text, {name: value for name, value in every.items() if name in text}, opset=21)
    assert "MatMulInteger" not in operators(model)
    feed: dict[str, np.ndarray] = {"x": RNG.integers(0, 256, (5, 12)).astype(np.uint8)}
    feed["given"] = np.array(0.5, np.float32)
    expected = session_for(model, optimize=False).run(None, feed)[0]
    found = compile_(model).run(None, feed)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_each_reader_dequantizes_for_itself() -> None:
    text = """g (uint8[5,12] x) => (float[5,7] y, float[5,12] e) {
        d = DequantizeLinear(x,xs,xz)
        v = DequantizeLinear<axis=1>(w,s)
        y = MatMul(d,v)
        a = Sigmoid(d)
        t = Tanh(d)
        e = Add(a,t) }"""
    model = parse(text, {"w": signed(12, 7), "s": scales(7), **ZERO}, opset=21)
    assert operators(model).count("DequantizeLinear") == len("at")


def test_an_output_that_is_dequantized_stays_one() -> None:
    text = """g (uint8[5,12] x) => (float[5,7] y, float[5,12] d) {
        d = DequantizeLinear(x,xs,xz)
        v = DequantizeLinear<axis=1>(w,s)
        y = MatMul(d,v) }"""
    model = parse(text, {"w": signed(12, 7), "s": scales(7), **ZERO}, opset=21)
    x = RNG.integers(0, 256, (5, 12)).astype(np.uint8)
    expected = session_for(model, optimize=False).run(None, {"x": x})
    for found, right in zip(compile_(model).run(None, {"x": x}), expected, strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-4)


QUANTIZED = """g (uint8[1,4,5,5] x) => (uint8[1,3,5,5] y) {{
    d = DequantizeLinear(x,xs,xz)
    v = DequantizeLinear<axis=0>(w,s)
    c = Conv(d,v,b)
    {behind} }}"""


@pytest.mark.parametrize(
    ("behind", "divides"),
    [
        ("y = QuantizeLinear(c,ys,yz)", False),
        ("r = Relu(c)\n y = QuantizeLinear(r,ys,yz)", False),
        ("t = Tanh(c)\n y = QuantizeLinear(t,ys,yz)", True),
        ("t = Neg(c)\n r = Add(c,t)\n y = QuantizeLinear(r,ys,yz)", True),
        ("y = QuantizeLinear<axis=1>(c,each,points)", True),
    ],
)
def test_the_scale_of_what_is_quantized_next_goes_into_that_of_the_product(behind: str, divides: bool) -> None:  # noqa: FBT001
    text = QUANTIZED.format(behind=behind)
    every: dict[str, Initializer] = {
        "w": signed(3, 4, 1, 1),
        "s": scales(3),
        "b": (3,),
        **ZERO,
        "ys": np.array(0.02, np.float32),
        "yz": np.array(9, np.uint8),
        "each": scales(3) * 9,
        "points": np.array([1, 2, 3], np.uint8),
    }
    model = parse(text, {name: value for name, value in every.items() if name in text}, opset=21)
    (quantize,) = (node for node in prepared(model).graph if node.op_type == "QuantizeLinear")
    scale = quantize.inputs[1]
    assert scale is not None
    assert (constant_array(scale).tolist() != 1.0) == divides  # a number, and no list of one
    x = RNG.integers(0, 256, (1, 4, 5, 5)).astype(np.uint8)
    expected = session_for(model, optimize=False).run(None, {"x": x})[0]
    levels = np.abs(compile_(model).run(None, {"x": x})[0].astype(int) - expected)
    assert levels.max() <= 1
    assert np.count_nonzero(levels) <= 1


def test_new_constants_have_names_of_their_own() -> None:
    text = f"g (uint8[5,12] x) => (float[5,7] y) {{ {DATA}\n v = DequantizeLinear<axis=1>(w,s)\n [p] y = MatMul(d,v) }}"
    taken: dict[str, Initializer] = {"w": signed(12, 7), "s": scales(7), **ZERO}
    model = parse(text, taken, opset=21)
    model.graph.initializers["w"].name = "p.integers"
    x = RNG.integers(0, 256, (5, 12)).astype(np.uint8)
    expected = session_for(model, optimize=False).run(None, {"x": x})[0]
    np.testing.assert_allclose(compile_(model).run(None, {"x": x})[0], expected, rtol=1e-5, atol=1e-4)
