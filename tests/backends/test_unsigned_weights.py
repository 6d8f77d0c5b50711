"""The oracle's products of bytes, on processors where ONNX Runtime's own saturate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends import unsigned_weights
from graphprune.backends.onnxruntime import session_for, session_for_file
from graphprune.backends.unsigned_weights import with_exact_products
from graphprune.targets.cpuinfo import CpuInfo
from tests.backends.tvm.graphs import Initializer, parse

INPUTS = 64
LARGE = np.full((INPUTS, 3), 127, np.int8)
X = np.full((2, INPUTS), 255, np.uint8)
PLAIN = "g (uint8[2,64] x) => (int32[2,3] y) { y = MatMulInteger(x,w) }"
ZERO = np.array(-3, np.int8)


@pytest.fixture(autouse=True)
def _without_vnni(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "sse2", "avx2")


def pretend(monkeypatch: pytest.MonkeyPatch, *features: str) -> None:
    cpu = CpuInfo("", "x86_64", frozenset(features))
    monkeypatch.setattr(unsigned_weights, "read_cpu", lambda: cpu)


def test_sums_beyond_16_bits_are_exact(tmp_path: Path) -> None:
    text = "o = Constant<value=int32{1}>() p = MatMulInteger(x,w) y = Div(p,o)"
    model = parse(f"g (uint8[2,64] x) => (int32[2,3] y) {{ {text} }}", {"w": LARGE})
    ir.save(model, tmp_path / "m.onnx")
    expected = X.astype(np.int32) @ LARGE.astype(np.int32)
    for session in (session_for(model, optimize=False), session_for_file(tmp_path / "m.onnx", optimize=False)):
        np.testing.assert_array_equal(session.run(None, {"x": X})[0], expected)


def test_a_weight_and_its_zero_point_move_alike() -> None:
    model = parse(PLAIN.replace("(x,w)", "(x,w,a,z)"), {"w": LARGE, "z": ZERO, "a": np.array(7, np.uint8)})
    moved = with_exact_products(model)
    node = moved.graph.node(0)
    weight, zero = (node.inputs[index].const_value.numpy() for index in (1, 3))  # type: ignore[union-attr]
    assert (weight.dtype, zero.dtype, zero) == (np.uint8, np.uint8, 125)
    np.testing.assert_array_equal(weight.astype(int) - zero, LARGE.astype(int) - ZERO)
    assert model.graph.initializers["w"].dtype == ir.DataType.INT8
    expected = (X.astype(np.int32) - 7) @ (LARGE.astype(np.int32) - ZERO)
    np.testing.assert_array_equal(session_for(model, optimize=False).run(None, {"x": X})[0], expected)


def test_quantized_products() -> None:
    """One that both a product and something else read stays as it is for the latter."""
    scales: dict[str, Initializer] = {
        "s": np.array(1, np.float32),
        "t": np.array(2.0**13, np.float32),
        "k": np.array(0, np.uint8),
    }
    text = """g (uint8[2,64] x, uint8[1,64,2,2] v) => (uint8[2,3] y, uint8[1,3,2,2] u, float[64,3] f) {
        y = QLinearMatMul(x,s,k,w,s,z,t,k)
        u = QLinearConv(v,s,k,c,e,o,t,k)
        f = DequantizeLinear(w,s,z) }"""
    zeros: dict[str, Initializer] = {"z": np.array(0, np.int8), "o": np.zeros(3, np.int8), "e": np.ones(3, np.float32)}
    kernel = LARGE.T.reshape(3, INPUTS, 1, 1).copy()
    model = parse(text, scales | zeros | {"w": LARGE, "c": kernel})
    feed = {"x": X, "v": np.full((1, INPUTS, 2, 2), 255, np.uint8)}
    y, u, f = session_for(model, optimize=False).run(None, feed)
    assert set(y.ravel()) == set(u.ravel()) == {round(255 * 127 * INPUTS / 2**13)}
    np.testing.assert_array_equal(f, LARGE)


@pytest.mark.parametrize("computed", ["w", "z", "wz"])
def test_weights_and_zero_points_that_are_computed(computed: str) -> None:
    given = {"w": LARGE, "z": ZERO}
    declared = "".join(f", int8[{','.join(map(str, given[name].shape))}] {name}" for name in computed).replace("[]", "")
    text = PLAIN.replace("x)", f"x{declared})", 1).replace("(x,w)", "(x,w,a,z)")
    constants = {name: array for name, array in given.items() if name not in computed}
    model = parse(text, {**constants, "a": np.array(0, np.uint8)})
    feed = {"x": X, **{name: given[name] for name in computed}}
    expected = X.astype(np.int32) @ (LARGE.astype(np.int32) - ZERO)
    np.testing.assert_array_equal(session_for(model, optimize=False).run(None, feed)[0], expected)


UNCHANGED = {
    "signed inputs": ("g (int8[2,64] x) => (int32[2,3] y) { y = MatMulInteger(x,w) }", {"w": LARGE}),
    "unsigned weights": (PLAIN, {"w": LARGE.view(np.uint8)}),
}


@pytest.mark.parametrize(("text", "initializers"), UNCHANGED.values(), ids=UNCHANGED)
def test_what_stays_as_it_is(text: str, initializers: dict[str, Initializer]) -> None:
    model = parse(text, initializers)
    node = with_exact_products(model).graph.node(0)
    assert [value and value.name for value in node.inputs] == [v and v.name for v in model.graph.node(0).inputs]


@pytest.mark.parametrize("features", [("sse2", "avx512_vnni"), ("sse2", "avx_vnni"), ("neon",)], ids=str)
def test_processors_that_sum_in_32_bits(features: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, *features)
    model = parse(PLAIN, {"w": LARGE})
    assert with_exact_products(model) is model


def test_models_without_such_products_are_not_copied() -> None:
    model = parse("g (float[2,64] x) => (float[2,3] y) { y = MatMul(x,w) }", {"w": (64, 3)})
    assert with_exact_products(model) is model
