"""Element-wise operators on every dtype and on special values: one graph with an output for each operator."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest

from graphprune.backends.onnxruntime import session_for
from tests.backends.tvm.graphs import assert_equal_on, compile_, parse

SPECIAL = np.array(
    [
        *(np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 1e-38, 3e38, -3e38, 0.5, -0.5, 1.5, 2.5, -1.5, -2.5),
        *(1, -1, 88.5, -88.5, 100, -104, 1e-5, -1e-5, 0.99999, 3.3e-4),
    ],
    np.float32,
)
UNARY = [
    *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Celu", "Cos", "Cosh", "Elu", "Erf"),
    *("Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Mish", "Neg", "Reciprocal", "Relu"),
    *("Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Tan", "Tanh"),
    *("ThresholdedRelu",),
]
IN_DOUBLE = [  # those that ONNX Runtime has
    *("Abs", "Ceil", "Cos", "Exp", "Floor", "Log", "Neg", "Reciprocal", "Relu", "Round", "Sigmoid", "Sign", "Sin"),
    *("Sqrt", "Tanh"),
]
BINARY = ["Add", "Sub", "Mul", "Div", "Max", "Min", "Pow", "Sum"]
COMPARISONS = ["Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"]
INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
FLOATS: dict[str, type[np.floating[Any]]] = {"float": np.float32, "double": np.float64, "float16": np.float16}


def many(operators: list[str], kind: str, count: int, inputs: str, result: str = "") -> str:
    """A graph of `count` elements an input, and an output named after each operator."""
    names = inputs.split(",")
    ins = ", ".join(f"{kind}[{count}] {name}" for name in names)
    outs = ", ".join(f"{result or kind}[{count}] {op}_y" for op in operators)
    return f"g ({ins}) => ({outs}) {{ {' '.join(f'{op}_y = {op}({inputs})' for op in operators)} }}"


@pytest.mark.parametrize("dtype", ["float", "double"])
def test_the_sign_of_zero_and_the_digits_near_it(dtype: str) -> None:
    operators = ["Round", "Ceil", "Floor", "Neg", "Sign", "Sqrt"]
    if dtype == "float":  # ONNX Runtime lacks these in double precision
        operators += ["Sin", "Tan", "Tanh", "Atan", "Asin", "Sinh", "Asinh", "Atanh", "Erf", "Elu", "Softsign"]
    x = np.array([-0.0, 0.0, -0.5, 0.5, -0.3, -1e-30, 1e-30, -1e-4, 3e-2, -3.2e-2], FLOATS[dtype])
    model = parse(many(operators, dtype, len(x), "x"), opset=22)
    with np.errstate(invalid="ignore"):
        expected = session_for(model, optimize=False).run(None, {"x": x})
    for operator, ours, theirs in zip(operators, compile_(model).run(None, {"x": x}), expected, strict=True):
        np.testing.assert_array_equal(np.signbit(ours), np.signbit(theirs), operator)
        np.testing.assert_allclose(ours, theirs, 1e-6, 0, err_msg=operator)


def test_functions_of_bfloat16_are_those_of_float32_rounded_once() -> None:
    rng = np.random.default_rng(5)
    x = np.concatenate([rng.standard_normal(60), 9 * rng.standard_normal(25)]).astype(ml_dtypes.bfloat16)
    operators = ["Abs", "Acos", "Asin", "Atan", "Ceil", "Cos", "Erf", "Exp", "Floor", "Gelu", "Log", "Neg"]
    operators += ["Reciprocal", "Relu", "Round", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Sqrt", "Tan", "Tanh"]
    halves, singles = (parse(many(operators, kind, len(x), "x"), opset=22) for kind in ("bfloat16", "float"))
    with np.errstate(invalid="ignore", over="ignore"):
        expected = [y.astype(x.dtype) for y in compile_(singles).run(None, {"x": x.astype(np.float32)})]
    for operator, ours, theirs in zip(operators, compile_(halves).run(None, {"x": x}), expected, strict=True):
        np.testing.assert_allclose(ours.astype(np.float32), theirs.astype(np.float32), 0.01, 1e-30, err_msg=operator)


@pytest.mark.filterwarnings("ignore:overflow")
def test_functions_of_floats() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([SPECIAL, rng.standard_normal(100), 20 * rng.standard_normal(50)]).astype(np.float32)
    assert_equal_on({"x": x}, parse(many(UNARY, "float", len(x), "x"), opset=22))


@pytest.mark.parametrize("alpha", [-1.0, -0.5, 2.0])
def test_celu_grows_below_zero_where_alpha_is_negative(alpha: float) -> None:
    model = parse(f"g (float[5] x) => (float[5] y) {{ y = Celu<alpha = {alpha}>(x) }}")
    assert_equal_on({"x": np.array([-7, -1, 0, 0.5, 3], np.float32)}, model)


@pytest.mark.parametrize(("kind", "tolerance"), [("double", 1e-12), ("float16", 2e-3)])
@pytest.mark.filterwarnings("ignore:overflow")
def test_functions_of_other_floats(kind: str, tolerance: float) -> None:
    x = np.concatenate([SPECIAL, np.random.default_rng(0).standard_normal(60)]).astype(FLOATS[kind])
    # Of the half-precision ones, ONNX Runtime lacks Celu, and its Sign of NaN is 0 there.
    operators = IN_DOUBLE if kind == "double" else [op for op in UNARY if op not in ("Celu", "Sign")]
    assert_equal_on({"x": x}, parse(many(operators, kind, len(x), "x"), opset=22), tolerance, tolerance)


@pytest.mark.parametrize(("kind", "tolerance"), [("float", 2e-6), ("double", 1e-12), ("float16", 2e-3)])
@pytest.mark.filterwarnings("ignore:overflow")
def test_arithmetic_and_comparisons_of_floats(kind: str, tolerance: float) -> None:
    a, b = (grid.ravel().astype(FLOATS[kind]) for grid in np.meshgrid(SPECIAL, SPECIAL))
    assert_equal_on({"a": a, "b": b}, parse(many(BINARY, kind, len(a), "a,b"), opset=22), tolerance, tolerance)
    assert_equal_on({"a": a, "b": b}, parse(many(COMPARISONS, kind, len(a), "a,b", "bool"), opset=22))


@pytest.mark.parametrize("kind", FLOATS)
def test_infinities_are_clipped_to_the_last_finite_number_where_a_limit_is_absent(kind: str) -> None:
    most = float(np.finfo(FLOATS[kind]).max)
    values = [np.inf, -np.inf, np.nan, most, -most, 0, 2, -2]
    feed = {"x": np.array(values, FLOATS[kind]), "half": np.array(0.5, FLOATS[kind])}
    model = parse(
        f"""g ({kind}[8] x, {kind} half) => ({kind}[8] a, {kind}[8] b, {kind}[8] c, {kind}[8] d) {{
            a = Clip (x) b = Clip (x, half) c = Clip (x, "", half) n = Neg (x) d = Clip (n) }}"""
    )
    theirs = session_for(model, optimize=False).run(None, feed)
    for one, other in zip(compile_(model).run(None, feed), theirs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", INTEGERS)
def test_arithmetic_and_bits_of_integers(kind: str) -> None:
    rng, info = np.random.default_rng(1), np.iinfo(kind)
    low, high = max(info.min, -1000), min(info.max, 1000)
    a, b = (rng.integers(low, high, 67).astype(kind) for _ in range(2))
    b[(b == 0) | (b == -1 if info.min else b == 0)] = 3
    operators = ["Add", "Sub", "Mul", "Div", "BitwiseAnd", "BitwiseOr", "BitwiseXor"]
    operators += ["Max", "Min"] if kind not in ("int16", "uint16") else []
    assert_equal_on({"a": a, "b": b}, parse(many(operators, kind, 67, "a,b"), opset=22))
    assert_equal_on({"a": a, "b": b}, parse(many(COMPARISONS, kind, 67, "a,b", "bool"), opset=22))
    remainders = (
        f"g ({kind}[67] a, {kind}[67] b) => ({kind}[67] y, {kind}[67] z) {{ y = Mod(a,b) z = Mod<fmod=1>(a,b) }}"
    )
    assert_equal_on({"a": a, "b": b}, parse(remainders, opset=22))


@pytest.mark.parametrize("kind", INTEGERS)
def test_division_by_zero_gives_zero_and_that_of_the_smallest_integer_wraps(kind: str) -> None:
    """Beside NumPy: ONNX Runtime refuses to divide by zero."""
    info = np.iinfo(kind)
    values = np.array([info.min, info.min + 1, 0, 1, 7, info.max, *([-1, -7] if info.min else [])], kind)
    a, b = (np.resize(grid, 67) for grid in np.meshgrid(values, values))
    text = f"""g ({kind}[67] a, {kind}[67] b) => ({", ".join(f"{kind}[67] {name}" for name in "qmrcd")}) {{
        q = Div(a,b)
        m = Mod(a,b)
        r = Mod<fmod=1>(a,b)
        c = Div(a,zero)
        d = Mod(a,zero) }}"""
    got = compile_(parse(text, {"zero": np.zeros((), kind)})).run(None, {"a": a, "b": b})
    with np.errstate(all="ignore"):
        cut = ((a - np.fmod(a, b)) // b).astype(kind)
        expected = [cut, np.mod(a, b), np.fmod(a, b), np.zeros_like(a), np.zeros_like(a)]
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_shifts_by_more_bits_than_there_are() -> None:
    """In vectors, and in the last element by itself, where a processor takes the number modulo 32."""
    a, b = np.full(17, 0xFF, np.uint32), np.arange(20, 37).astype(np.uint32)
    text = """g (uint32[17] a, uint32[17] b) => (uint32[17] y, uint32[17] z) {
        y = BitShift<direction="LEFT">(a,b)
        z = BitShift<direction="RIGHT">(a,b) }"""
    y, z = compile_(parse(text)).run(None, {"a": a, "b": b})
    np.testing.assert_array_equal(y, np.left_shift(a, b))
    np.testing.assert_array_equal(z, np.right_shift(a, b))


@pytest.mark.parametrize("kind", [kind for kind in INTEGERS if not kind.startswith("u")])
def test_shifts_of_signed_integers_fill_up_with_signs(kind: str) -> None:
    """Also by more bits than there are, and by less than none, which is more than all to NumPy."""
    bits = np.iinfo(kind).bits
    a = np.array([-8, 4, -1, -128, 127] * 7, kind)
    b = np.repeat(np.array([0, 1, bits - 1, bits, bits + 1, -1, -bits], kind), 5)
    text = f"""g ({kind}[35] a, {kind}[35] b) => ({kind}[35] y, {kind}[35] z) {{
        y = BitShift<direction="LEFT">(a,b)
        z = BitShift<direction="RIGHT">(a,b) }}"""
    y, z = compile_(parse(text, opset=28)).run(None, {"a": a, "b": b})
    np.testing.assert_array_equal(y, np.left_shift(a, b))
    np.testing.assert_array_equal(z, np.right_shift(a, b))


@pytest.mark.parametrize("kind", [kind for kind in INTEGERS if kind.startswith("u")])
def test_shifts(kind: str) -> None:
    rng, bits = np.random.default_rng(2), np.iinfo(kind).bits
    a, b = rng.integers(0, 200, 33).astype(kind), rng.integers(0, bits, 33).astype(kind)
    text = f"""g ({kind}[33] a, {kind}[33] b) => ({kind}[33] y, {kind}[33] z) {{
        y = BitShift<direction="LEFT">(a,b)
        z = BitShift<direction="RIGHT">(a,b) }}"""
    assert_equal_on({"a": a, "b": b}, parse(text, opset=22))


@pytest.mark.parametrize("kind", ["float", "double", "float16", "bool", *INTEGERS])
def test_casts_between_all_types(kind: str) -> None:
    source = np.dtype({**FLOATS, "bool": np.bool_}.get(kind, kind))
    x = np.array([0, 1, 2, 3, 100, 7, 1.5, 2.9, 0.4] if source.kind == "f" else [0, 1, 2, 3, 100, 7, 1, 2, 0])
    x = (x if source.kind in "bu" else np.concatenate([x, -x if source.kind == "i" else x + 0.25])).astype(source)
    targets = ["float", "double", "float16", "bool", *INTEGERS]
    ins, outs = f"{kind}[{len(x)}] x", ", ".join(f"{t}[{len(x)}] to_{t}" for t in targets)
    body = " ".join(f"to_{t} = Cast<to={onnx.TensorProto.DataType.Value(t.upper())}>(x)" for t in targets)
    assert_equal_on({"x": x}, parse(f"g ({ins}) => ({outs}) {{ {body} }}", opset=22))


@pytest.mark.parametrize("kind", ["float", "double", "float16", "int64"])
@pytest.mark.filterwarnings("ignore:overflow")
def test_whatever_is_not_zero_is_true(kind: str) -> None:
    """By itself, and read by what is fused with it."""
    x = SPECIAL.astype(FLOATS[kind]) if kind in FLOATS else np.arange(-13, 13)
    text = f"""g ({kind}[26] x, bool[26] c) => (bool[26] y, bool[26] a, float[26] f, {kind}[26] w, bool[26] e) {{
        y = Cast<to=9>(x)
        t = Cast<to=9>(x)
        n = Not(t)
        a = And(n,c)
        u = Cast<to=9>(x)
        f = Cast<to=1>(u)
        v = Cast<to=9>(x)
        w = Where(v,x,x)
        b = Cast<to=9>(x)
        e = Equal(b,c) }}"""
    assert_equal_on({"x": x, "c": np.arange(26) % 2 == 0}, parse(text))


def test_bfloat16_rounds_wherever_it_stands() -> None:
    """To nearest, ties to even, to infinity, NaN to NaN; between two others, in arithmetic, and at the end."""
    ties = (np.arange(0x3F808000 - 3, 0x3F808000 + 4), np.arange(0x3F818000 - 3, 0x3F818000 + 4))
    bits = np.concatenate([*ties, [0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF, 1]])
    x = np.concatenate([bits.astype(np.uint32).view(np.float32), SPECIAL])
    text = f"""g (float[{len(x)}] x) => (float[{len(x)}] y, bfloat16[{len(x)}] z, float[{len(x)}] w) {{
        a = Cast<to=16>(x)
        y = Cast<to=1>(a)
        z = Cast<to=16>(x)
        b = Cast<to=16>(x)
        c = Mul(b,b)
        w = Cast<to=1>(c) }}"""
    y, z, w = compile_(parse(text)).run(None, {"x": x})
    with np.errstate(all="ignore"):
        half = x.astype(ml_dtypes.bfloat16)
        expected = [half, half, half * half]
    for ours, theirs in zip((y, z, w), expected, strict=True):
        np.testing.assert_array_equal(ours.astype(np.float32), theirs.astype(np.float32))


@pytest.mark.parametrize("constant", [0.0, -0.0, np.inf, -np.inf, np.nan])
def test_constants_at_the_edges(constant: float) -> None:
    operators = ["Add", "Sub", "Mul", "Div", "Pow", "Equal", "Less"]
    outputs = [f"{'bool' if op in COMPARISONS else 'float'}[26] {op}_{i}" for op in operators for i in range(2)]
    body = " ".join(f"{op}_0 = {op}(x,c) {op}_1 = {op}(c,x)" for op in operators)
    model = parse(f"g (float[26] x) => ({', '.join(outputs)}) {{ {body} }}", {"c": np.array(constant, np.float32)})
    assert_equal_on({"x": SPECIAL}, model, 0, 0)


@pytest.mark.parametrize("fmod", [0, 1])
def test_remainders_of_floats_are_exact_for_huge_quotients(fmod: int) -> None:
    x = np.array([1e30, -1e30, 3e38, 7.5, -7.5, 5.5, np.inf, np.nan], np.float32)
    y = np.array([3.0, 3.0, 0.7, 2.0, 2.0, -2.0, 1.0, 1.0], np.float32)
    text = f"g (float[8] x, float[8] y) => (float[8] z) {{ z = Mod<fmod={fmod}>(x,y) }}"
    if fmod:
        assert_equal_on({"x": x, "y": y}, parse(text, opset=22), rtol=0, atol=0)
    else:
        np.testing.assert_array_equal(compile_(parse(text, opset=28)).run(None, {"x": x, "y": y})[0], np.mod(x, y))


@pytest.mark.parametrize("operator", ["Atan", "Asin", "Round", "Sinh", "Mod<fmod=1>", "Pow", "Tan", "Gelu"])
def test_functions_that_may_have_no_vector_form_inside_a_fused_chain(operator: str) -> None:
    arguments = "c,y" if operator in ("Mod<fmod=1>", "Pow") else "c"
    text = f"""g (float[37] x, float[37] y) => (float[37] z) {{
        a = Mul(x,y)
        b = Abs(a)
        c = Min(b,one)
        d = {operator}({arguments})
        e = Mul(d,d)
        f = Add(e,d)
        g = Mul(f,c)
        z = Sub(g,a) }}"""
    rng = np.random.default_rng(0)
    feed = {name: rng.standard_normal(37).astype(np.float32) for name in "xy"}
    assert_equal_on(feed, parse(text, {"one": np.array(0.9, np.float32)}, opset=22), 1e-5, 1e-5)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0, 3.0, 7.0, -1.0, 0.25, -0.75, 2.5, 13.0])
def test_constant_exponents(exponent: float) -> None:
    x = np.concatenate([SPECIAL, np.random.default_rng(3).standard_normal(50).astype(np.float32)])
    model = parse(
        f"g (float[{len(x)}] x) => (float[{len(x)}] y) {{ y = Pow(x,e) }}", {"e": np.array(exponent, np.float32)}
    )
    assert_equal_on({"x": x}, model, 3e-6, 0)


def test_infinities_of_one_sign() -> None:
    text = """g (float[26] x) => (bool[26] both, bool[26] above, bool[26] below, bool[26] none, bool[26] nan) {
        both = IsInf(x)
        above = IsInf<detect_negative=0>(x)
        below = IsInf<detect_positive=0>(x)
        none = IsInf<detect_negative=0,detect_positive=0>(x)
        nan = IsNaN(x) }"""
    assert_equal_on({"x": SPECIAL}, parse(text))


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16"])
def test_nan_is_quantized_to_the_smallest_integer(kind: str) -> None:
    model = parse(f"g (float[3] x, float s, {kind} z) => ({kind}[3] y) {{ y = QuantizeLinear(x,s,z) }}", opset=21)
    feed = {"x": np.array([np.nan, 0, np.inf], np.float32), "s": np.array(0.1, np.float32), "z": np.array(12, kind)}
    info = np.iinfo(kind)
    np.testing.assert_array_equal(compile_(model).run(None, feed)[0], np.array([info.min, 12, info.max], kind))


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16"])
def test_quantization_by_tensor_and_by_axis(kind: str) -> None:
    rng = np.random.default_rng(4)
    text = f"""g (float[3,4,5] x, float s, {kind} z, float[4] sc, {kind}[4] zc)
        => ({kind}[3,4,5] q, {kind}[3,4,5] qc, float[3,4,5] d, float[3,4,5] dc) {{
        q = QuantizeLinear(x,s,z)
        qc = QuantizeLinear<axis=-2>(x,sc,zc)
        d = DequantizeLinear(q,s,z)
        dc = DequantizeLinear<axis=1>(qc,sc,zc) }}"""
    x = np.concatenate([rng.standard_normal(50) * 100, [0.5, 1.5, 2.5, -0.5, -1.5, 1e9, -1e9, 0, 3.5, 4.5]])
    feed = {
        "x": x.reshape(3, 4, 5).astype(np.float32),
        "s": np.array(1.0, np.float32),
        "z": np.array(3, kind),
        "sc": np.array([1.0, 0.5, 0.1, 2.0], np.float32),
        "zc": np.array([0, 1, 2, 3], kind),
    }
    assert_equal_on(feed, parse(text, opset=21))
