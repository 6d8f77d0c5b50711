"""Element-wise arithmetic, comparisons, logic, bits and casts."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from tvm import tirx

from graphprune.backends.tvm.kernels.builder import Expr, bind
from graphprune.backends.tvm.kernels.math import dtype_of
from graphprune.backends.tvm.kernels.opaque import literal_value
from graphprune.backends.tvm.operators.scalar_base import (
    Arguments,
    Scalar,
    binary,
    fold,
    is_float,
    is_nan,
    is_unsigned,
    largest,
    like,
    narrowed,
    optional,
    output_dtype,
    unary,
)

MOST_FACTORS = 8
"""Largest constant exponent that becomes multiplications."""


def maximum(a: Expr, b: Expr) -> Expr:
    """The larger one; NaN if either is NaN, as ONNX Runtime does."""
    if not is_float(a):
        return tirx.max(a, b)
    return tirx.Select(tirx.any(a > b, is_nan(a)), a, b)


def minimum(a: Expr, b: Expr) -> Expr:
    """The smaller one; NaN if either is NaN."""
    if not is_float(a):
        return tirx.min(a, b)
    return tirx.Select(tirx.any(a < b, is_nan(a)), a, b)


def divide(a: Expr, b: Expr) -> Expr:
    """The quotient; of integers rounded towards zero, and 0 where the divisor is 0, as NumPy has it."""
    if is_float(a):
        return a / b
    return tirx.Select(b == like(b, 0), like(a, 0), tirx.truncdiv(a, safe_divisor(a, b)))


def remainder(a: Expr, b: Expr, *, truncated: bool) -> Expr:
    """Of integers, with the sign of the divisor, or of the dividend if truncated; 0 where the divisor is 0."""
    divisor = safe_divisor(a, b)
    rest = tirx.truncmod(a, divisor)
    if truncated or is_unsigned(a):
        return rest
    differs = tirx.all(rest != like(a, 0), (rest < like(a, 0)) != (divisor < like(a, 0)))
    return tirx.Select(differs, rest + divisor, rest)


def safe_divisor(a: Expr, b: Expr) -> Expr:
    """1 in place of a divisor that would stop the process: of 0, and of -1 for the smallest integer.

    The quotient then is that integer itself, which is what its negative wraps to, and the remainder is 0.
    """
    stops = b == like(b, 0)
    if not is_unsigned(b):
        smallest = like(a, tirx.min_value(dtype_of(a)).value)
        stops = tirx.any(stops, tirx.all(a == smallest, b == like(b, -1)))
    return tirx.Select(stops, like(b, 1), b)


def power(base: Expr, exponent: Expr) -> Expr:
    """Base ** exponent in the base's dtype; small constant integer exponents are multiplications."""
    value = literal_value(exponent)
    if value is not None and 1 <= value <= MOST_FACTORS and value == int(value):
        return _repeated_product(base, int(value))
    if is_float(base) and value == 0.5:
        return tirx.Select(base == like(base, float("-inf")), like(base, float("inf")), tirx.sqrt(base))
    wide = "float32" if dtype_of(base) == dtype_of(exponent) == "float32" else "float64"
    return tirx.power(base.astype(wide), exponent.astype(wide)).astype(dtype_of(base))


def _repeated_product(base: Expr, exponent: int) -> Expr:
    result: Expr | None = None
    square = base
    while exponent:
        if exponent & 1:
            result = square if result is None else result * square
        exponent >>= 1
        if exponent:
            square = square * square
            square = bind(square) if exponent > 1 else square
    return result


def _mean(node: ir.Node, a: Arguments) -> Expr:
    return fold(lambda x, y: x + y)(node, a) / like(a[0], float(len(a)))


def _absolute(x: Expr) -> Expr:
    return x if is_unsigned(x) else tirx.abs(x)


def _sign(x: Expr) -> Expr:
    """-1, 0 or 1; 0 for -0, NaN for NaN."""
    rest = tirx.Select(x == like(x, 0), like(x, 0), x)
    below = rest if is_unsigned(x) else tirx.Select(x < like(x, 0), like(x, -1), rest)
    return tirx.Select(x > like(x, 0), like(x, 1), below)


def clip(node: ir.Node, a: Arguments) -> Expr:
    """Clip; NaN stays NaN, the upper limit wins where the limits cross, and an absent one is the last finite number."""
    result, low, high = a[0], optional(a, 1), optional(a, 2)
    if is_float(result):
        most = largest(output_dtype(node))
        low = like(result, -most) if low is None else low
        high = like(result, most) if high is None else high
    if low is not None:
        result = tirx.Select(result < low, low, result)
    if high is not None:
        result = tirx.Select(result > high, high, result)
    return result


def cast(node: ir.Node, a: Arguments) -> Expr:
    """Cast; a float becomes a narrow integer by way of a wider one, so that it wraps as a C compiler's code does."""
    x, name = a[0], output_dtype(node)
    if name == dtype_of(x):
        return x
    if name == "bool":
        return x != like(x, 0)
    if name == "bfloat16":
        return narrowed(x.astype("float32"), name)
    if is_float(x) and name in ("int8", "uint8", "int16", "uint16"):
        return x.astype("int32").astype(name)
    if is_float(x) and name == "uint32":
        return x.astype("int64").astype(name)
    return x.astype(name)


def _bit_cast(node: ir.Node, a: Arguments) -> Expr:
    x, name = a[0], output_dtype(node)
    if dtype_of(x) == "bool":
        return x.astype(name)
    return x != like(x, 0) if name == "bool" else tirx.reinterpret(name, x)


def _bit_shift(node: ir.Node, a: Arguments) -> Expr:
    """The shifted bits; by as many as there are or more, or by less than none, all are shifted out, as NumPy has it."""
    x, by = a
    dtype, is_left = dtype_of(x), node.attributes.get_string("direction", "") == "LEFT"
    bits = np.iinfo(dtype).bits
    unsigned = by.astype(f"u{dtype.removeprefix('u')}")  # a negative number is larger than all
    signs = like(x, 0) if is_left or dtype.startswith("u") else tirx.shift_right(x, like(x, bits - 1))
    shift = tirx.shift_left if is_left else tirx.shift_right
    return tirx.Select(unsigned < like(unsigned, bits), shift(x, by), signs)


def _is_infinite(node: ir.Node, a: Arguments) -> Expr:
    x = a[0]
    signs = [
        x == like(x, sign * float("inf"))
        for name, sign in (("detect_positive", 1), ("detect_negative", -1))
        if node.attributes.get_int(name, 1)
    ]
    return tirx.any(*signs) if signs else tirx.const(value=False, dtype="bool")


ARITHMETIC: dict[str, Scalar] = {
    "Add": binary(lambda a, b: a + b),
    "Sub": binary(lambda a, b: a - b),
    "Mul": binary(lambda a, b: a * b),
    "Div": binary(divide),
    "Pow": binary(power),
    "Sum": fold(lambda a, b: a + b),
    "Max": fold(maximum),
    "Min": fold(minimum),
    "Mean": _mean,
    "Neg": unary(lambda x: -x if is_float(x) else like(x, 0) - x),
    "Abs": unary(_absolute),
    "Sign": unary(_sign),
    "Clip": clip,
    "Where": lambda _node, a: tirx.Select(a[0], a[1], a[2]),
    "Cast": cast,
    "BitCast": _bit_cast,
    "IsNaN": unary(is_nan),
    "IsInf": _is_infinite,
    "Equal": binary(tirx.EQ),
    "Greater": binary(lambda a, b: a > b),
    "GreaterOrEqual": binary(lambda a, b: a >= b),
    "Less": binary(lambda a, b: a < b),
    "LessOrEqual": binary(lambda a, b: a <= b),
    "And": binary(tirx.all),
    "Or": binary(tirx.any),
    "Xor": binary(lambda a, b: tirx.any(tirx.all(a, tirx.Not(b)), tirx.all(tirx.Not(a), b))),
    "Not": unary(tirx.Not),
    "BitwiseAnd": binary(tirx.bitwise_and),
    "BitwiseOr": binary(tirx.bitwise_or),
    "BitwiseXor": binary(tirx.bitwise_xor),
    "BitwiseNot": unary(tirx.bitwise_not),
    "BitShift": _bit_shift,
}
