"""Products of quantized integers against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

import graphprune as gp
from graphprune.errors import UnsupportedModelError
from tests.frontends.torch_operators.checks import assert_same
from tests.weighted import weighted_model

RNG = np.random.default_rng(0)


def bytes_(*shape: int, kind: str = "uint8") -> np.ndarray:
    info = np.iinfo(kind)
    return RNG.integers(info.min, info.max + 1, shape).astype(kind)


def test_integer_products_with_a_zero_point_each() -> None:
    model = weighted_model(
        """main (uint8[3,40] a, uint8[40,5] b, uint8 p, uint8 q) => (int32[3,5] y) {
            y = MatMulInteger (a, b, p, q)
        }"""
    )
    feed = {"a": bytes_(3, 40), "b": bytes_(40, 5), "p": bytes_()[...], "q": bytes_()[...]}
    assert_same(model, feed, tolerance=0)


def test_integer_products_with_a_zero_point_a_column() -> None:
    model = weighted_model(
        """main (uint8[3,4] a, int8[4,5] b, uint8 p, int8[5] q) => (int32[3,5] y) { y = MatMulInteger (a, b, p, q) }"""
    )
    feed = {"a": bytes_(3, 4), "b": bytes_(4, 5, kind="int8"), "p": bytes_()[...], "q": bytes_(5, kind="int8")}
    assert_same(model, feed, tolerance=0)


def test_integer_convolution() -> None:
    model = weighted_model(
        """main (uint8[2,4,6,6] x, uint8[4,2,3,3] v, uint8 p, uint8 q) => (int32[2,4,3,3] y) {
            y = ConvInteger <pads = [1,1,1,1], strides = [2,2], group = 2> (x, v, p, q)
        }"""
    )
    feed = {"x": bytes_(2, 4, 6, 6), "v": bytes_(4, 2, 3, 3), "p": bytes_()[...], "q": bytes_()[...]}
    assert_same(model, feed, tolerance=0)


SCALES = "float sx = {0.02}, uint8 zx = {120}, float sy = {0.5}, uint8 zy = {100}"


def test_quantized_products_and_convolutions() -> None:
    product = weighted_model(
        f"""main (uint8[3,8] a, uint8[8,5] b) => (uint8[3,5] y) <{SCALES}, float sb = {{0.03}}, uint8 zb = {{7}}> {{
            y = QLinearMatMul (a, sx, zx, b, sb, zb, sy, zy)
        }}"""
    )
    assert_same(product, {"a": bytes_(3, 8), "b": bytes_(8, 5)}, tolerance=0)
    scales = "float[2] sv = {0.03, 0.01}, int8[2] zv = {0, 0}, int32[2] c = {500, -900}"
    convolution = weighted_model(
        f"""main (uint8[1,3,6,6] x, int8[2,3,3,3] v) => (uint8[1,2,6,6] y) <{SCALES}, {scales}> {{
            y = QLinearConv <pads = [1,1,1,1]> (x, sx, zx, v, sv, zv, sy, zy, c)
        }}"""
    )
    assert_same(convolution, {"x": bytes_(1, 3, 6, 6), "v": bytes_(2, 3, 3, 3, kind="int8")}, tolerance=0)


def test_what_is_not_supported_is_refused() -> None:
    several = weighted_model(
        f"""main (uint8[3,8] a, uint8[8,2] b) => (uint8[3,2] y) <
            {SCALES}, float[2] sb = {{0.03, 0.1}}, uint8[2] zb = {{7, 8}}
        > {{
            [m] y = QLinearMatMul (a, sx, zx, b, sb, zb, sy, zy)
        }}"""
    )
    with pytest.raises(UnsupportedModelError, match=r"node 'm' \(QLinearMatMul\): its scales .* not single .*GP131"):
        gp.to_torch(several)
    strange = weighted_model(
        "main (uint8[1,1,4,4] x, uint8[1,1,3,3] v) => (int32[1,1,2,2] y) { [c] y = ConvInteger <color = 1> (x, v) }"
    )
    with pytest.raises(UnsupportedModelError, match=r"node 'c' \(ConvInteger\): attribute 'color' \[GP131\]"):
        gp.to_torch(strange)


@pytest.mark.parametrize("kind", ["uint16", "int16"])
def test_sixteen_bits_are_stored_and_come_back(kind: str) -> None:
    model = weighted_model(
        f"""<ir_version: 10, opset_import: ["" : 21]>
        main (float[3,5] x) => ({kind}[3,5] q, float[3,5] y) <float s = {{0.001}}, {kind} z = {{100}}> {{
            q = QuantizeLinear (x, s, z)
            y = DequantizeLinear (q, s, z)
        }}"""
    )
    assert_same(model, tolerance=0)
