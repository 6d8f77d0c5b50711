"""Arithmetic of quantizers, as an export writes it, against itself in ONNX Runtime."""

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.frontends.quantizers import recognize_quantizers
from graphprune.passes.shape_inference import infer_shapes
from tests.frontends.unoptimized import run_unoptimized

_CONSTANTS = """<float s = {0.03}, float other = {0.04}, float negative = {-0.03},
    float[3,1,1] each = {0.02, 0.05, 0.03}, float[4] across = {0.02, 0.05, 0.03, 0.04}, float[2,2] table = {1, 2, 3, 4},
    float[1,1] one = {0.03}, float low = {-128}, float high = {127}, float zero = {0}, float top = {255},
    float least = {-7}, float most = {7}, float wide = {-256}, float wider = {255}, float half = {0.5},
    float z = {117}, float three = {3}, float far = {300}, float[3,1,1] at = {1, 2, 3}, int32 integer = {3},
    int32 none = {0}, int32[3,1,1] bias = {1000, -2000, 3000}>"""


def model_of(body: str, y: str = "float[2,3,4,4] y") -> ir.Model:
    text = f'<ir_version: 10, opset_import: ["" : 20]> g (float[2,3,4,4] x) => ({y}) {_CONSTANTS} {{ {body} }}'
    model = ir.from_onnx_text(text)
    infer_shapes(model)
    return model


def image() -> np.ndarray:
    return np.float32(4) * np.random.default_rng(0).standard_normal((2, 3, 4, 4), dtype=np.float32)


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def recognized(body: str, y: str = "float[2,3,4,4] y") -> ir.Model:
    model = model_of(body, y)
    recognize_quantizers(model)
    infer_shapes(model)
    (before,), (after,) = (run_unoptimized(each, image()) for each in (model_of(body, y), model))
    np.testing.assert_allclose(after, before, rtol=1e-6, atol=1e-6)
    return model


PLAIN = "d = Div (x, s) r = Round (d) a = Max (r, low) b = Min (a, high)"
BOTH = ["QuantizeLinear", "DequantizeLinear"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"{PLAIN} y = Mul (b, s)", BOTH),
        ("d = Div (x, s) r = Round (d) b = Clip (r, low, high) y = Mul (s, b)", BOTH),
        ("d = Div (x, one) r = Round (d) b = Clip (r, low, high) y = Mul (s, b)", BOTH),
        (f"{PLAIN} q = Mul (b, s) e = Sub (q, x) y = Add (x, e)", BOTH),
        (f"{PLAIN} q = Mul (b, s) e = Sub (q, x) y = Add (e, x)", BOTH),
        (
            "d = Div (x, s) o = Round (d) e = Sub (o, d) r = Add (e, d) b = Clip (r, low, high) y = Mul (b, s)",
            BOTH,
        ),
        ("d = Div (x, each) b = Clip (d, low, high) r = Round (b) y = Mul (r, each)", BOTH),
        ("d = Div (x, across) b = Clip (d, low, high) r = Round (b) y = Mul (r, across)", BOTH),
        ("d = Div (x, s) r = Round (d) p = Add (r, z) b = Clip (p, zero, top) m = Sub (b, z) y = Mul (m, s)", BOTH),
        ("d = Div (x, s) r = Round (d) p = Add (z, r) b = Clip (p, zero, top) m = Sub (b, z) y = Mul (m, s)", BOTH),
        ("d = Div (x, s) p = Add (d, z) r = Round (p) b = Clip (r, zero, top) m = Sub (b, z) y = Mul (m, s)", BOTH),
        (
            "d = Div (x, each) p = Add (d, z) r = Round (p) b = Clip (r, zero, top) m = Sub (b, z) y = Mul (m, each)",
            BOTH,
        ),
        ("d = Div (x, s) r = Round (d) p = Add (r, at) b = Clip (p, low, high) m = Sub (b, at) y = Mul (s, m)", BOTH),
        (
            "d = Div (x, s) r = Round (d) b = Clip (r, least, most) y = Mul (b, s)",
            ["QuantizeLinear", "Clip", "DequantizeLinear"],
        ),
        (f"{PLAIN} u = Mul (b, s) v = Mul (b, s) y = Add (u, v)", [*BOTH, *BOTH, "Add"]),
        (f"{PLAIN} i = Cast <to = 3> (b) f = Cast <to = 1> (i) y = Mul (f, s)", BOTH),
        (f"{PLAIN} w = Cast <to = 6> (b) i = Cast <to = 3> (w) f = Cast <to = 1> (i) y = Mul (f, other)", BOTH),
        (
            f"{PLAIN} i = Cast <to=3> (b) w = Cast <to=6> (i) m = Sub (w, none) f = Cast <to=1> (m) y = Mul (f, each)",
            BOTH,
        ),
    ],
)
def test_quantizers_become_operators_that_compute_the_same(body: str, expected: list[str]) -> None:
    assert operators(recognized(body)) == expected


def test_the_operators_as_text() -> None:
    model = recognized("d = Div (x, each) r = Round (d) b = Clip (r, least, most) y = Mul (b, each)")
    text = ir.to_onnx_text(model)
    assert "float[3] x_scale =  {0.02,0.05,0.03}, int8[3] x_zero_point =  {0,0,0}" in text
    bounds = [model.graph.initializers[name].const_value for name in ("x_lowest", "x_highest")]
    assert [bound.numpy().tolist() for bound in bounds if bound is not None] == [-7, 7]
    assert [line.strip() for line in text.splitlines() if " = " in line and "(" in line] == [
        "[x_levels] x_levels = QuantizeLinear <axis: int = 1> (x, x_scale, x_zero_point)",
        "[x_clipped] x_clipped = Clip (x_levels, x_lowest, x_highest)",
        "[y_dequantized] y = DequantizeLinear <axis: int = 1> (x_clipped, x_scale, x_zero_point)",
    ]


@pytest.mark.parametrize(
    "body",
    [
        "d = Div (x, s) r = Round (d) b = Clip (r, wide, wider) y = Mul (b, s)",
        "d = Div (x, s) r = Round (d) y = Mul (r, s)",
        "d = Div (x, s) r = Round (d) b = Min (r, high) y = Mul (b, s)",
        "d = Div (x, s) r = Floor (d) b = Clip (r, low, high) y = Mul (b, s)",
        "d = Div (s, x) r = Round (d) b = Clip (r, low, high) y = Mul (b, s)",
        "d = Div (x, negative) r = Round (d) b = Clip (r, low, high) y = Mul (b, negative)",
        "d = Div (x, s) r = Round (d) b = Clip (r, low, half) y = Mul (b, s)",
        f"{PLAIN} y = Mul (b, other)",
        f"{PLAIN} y = Mul (b, each)",
        f"{PLAIN} u = Mul (b, s) y = Add (u, b)",
        "d = Div (x, each) r = Round (d) b = Clip (r, low, high) y = Mul (b, across)",
        "t = Abs (x) k = ReduceMax (t) d = Div (x, k) r = Round (d) b = Clip (r, low, high) y = Mul (b, k)",
        "d = Div (x, s) r = Round (d) p = Add (r, half) b = Clip (p, low, high) m = Sub (b, half) y = Mul (m, s)",
        "d = Div (x, s) p = Add (d, half) r = Round (p) b = Clip (r, low, high) m = Sub (b, half) y = Mul (m, s)",
        "d = Div (x, s) r = Round (d) p = Add (r, three) b = Clip (p, low, high) m = Sub (b, z) y = Mul (m, s)",
        "d = Div (x, s) r = Round (d) p = Add (r, z) b = Clip (p, zero, top) m = Sub (z, b) y = Mul (m, s)",
        "d = Div (x, s) r = Round (d) p = Add (r, far) b = Clip (p, zero, top) m = Sub (b, far) y = Mul (m, s)",
        "d = Div (x, s) b = Clip (d, low, high) r = Round (b) p = Add (r, z) m = Sub (p, z) y = Mul (m, s)",
        "d = Div (x, across) r = Round (d) p = Add (r, at) b = Clip (p, low, high) m = Sub (b, at) y = Mul (m, across)",
        "e = Sub (s, x) y = Add (x, e)",
        "t = Abs (x) e = Sub (t, x) y = Add (x, e)",
        "r = Round (s) e = Sub (r, x) y = Add (x, e)",
    ],
)
def test_other_arithmetic_stays(body: str) -> None:
    assert operators(recognized(body)) == operators(model_of(body))


def test_integers_that_are_an_output_stay_integers() -> None:
    model = recognized(f"{PLAIN} y = Cast <to = 3> (b)", "int8[2,3,4,4] y")
    assert operators(model) == ["QuantizeLinear"]


def test_a_bias_of_32_bits_is_dequantized() -> None:
    model = recognized("m = Sub (bias, none) f = Cast <to = 1> (m) b = Mul (f, each) y = Add (x, b)")
    assert operators(model) == ["DequantizeLinear", "Add"]


@pytest.mark.parametrize(
    "body",
    [
        "m = Sub (bias, integer) f = Cast <to = 1> (m) b = Mul (f, each) y = Add (x, b)",
        "i = Cast <to = 6> (x) f = Cast <to = 1> (i) y = Mul (f, s)",
    ],
)
def test_other_integers_of_32_bits_stay(body: str) -> None:
    assert operators(recognized(body)) == operators(model_of(body))


def test_levels_that_their_integers_do_not_hold_stay_a_cast() -> None:
    model = model_of("d = Div (x, s) r = Round (d) b = Clip (r, zero, top) y = Cast <to = 3> (b)", "int8[2,3,4,4] y")
    before = operators(model)
    recognize_quantizers(model)
    assert operators(model) == before


def test_bounds_of_a_wider_type_than_their_integers_stay_a_cast() -> None:
    body = "d = Div (x, s) r = Round (d) b = Clip (r, zero, top) i = Cast <to = 6> (b) y = Cast <to = 1> (i)"
    assert operators(recognized(body)) == operators(model_of(body))


@settings(max_examples=100, deadline=None)
@given(
    low=st.integers(-128, 100),
    span=st.integers(1, 255),
    point=st.integers(-128, 255),
    scale=st.floats(2**-10, 8.0, width=32),
    order=st.sampled_from(["r = Round (d) t = Add (r, p)", "t0 = Add (d, p) t = Round (t0)"]),
)
def test_any_range_of_eight_bits(low: int, span: int, point: int, scale: float, order: str) -> None:
    high = min(low + span, 127 if low < 0 else 255)
    point = min(max(point, low), high)
    text = f"""<ir_version: 10, opset_import: ["" : 20]> g (float[600] x) => (float[600] y)
        <float s = {{{scale!r}}}, float p = {{{point}}}, float l = {{{low}}}, float h = {{{high}}}>
        {{ d = Div (x, s) {order} b = Clip (t, l, h) m = Sub (b, p) y = Mul (m, s) }}"""
    before, after = ir.from_onnx_text(text), ir.from_onnx_text(text)
    infer_shapes(after)
    recognize_quantizers(after)
    assert "QuantizeLinear" in operators(after)
    x = np.float32(scale) * np.linspace(-300.3, 300.3, 600, dtype=np.float32)
    (expected,), (found,) = (run_unoptimized(each, x) for each in (before, after))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * scale)


def test_recognizing_twice_changes_nothing() -> None:
    model = recognized(f"{PLAIN} y = Mul (b, s)")
    before = ir.to_onnx_text(model)
    recognize_quantizers(model)
    assert ir.to_onnx_text(model) == before
