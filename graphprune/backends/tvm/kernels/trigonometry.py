"""Sine and cosine of every float32 in vectors: the angle is reduced exactly, however large it is.

The turns in an angle, |x| / (2 pi), are a product of its mantissa and of those bits of 1 / (2 pi) that count by its
exponent: whole turns drop out as the product wraps. Payne and Hanek, "Radian reduction for trigonometric functions"
(1983).
"""

from __future__ import annotations

import math

from tvm import tirx

from graphprune.backends.tvm.kernels.builder import Expr, bind, constant
from graphprune.backends.tvm.kernels.math import dtype_of
from graphprune.backends.tvm.kernels.opaque import opaque, opaque_literal

_WORDS = (0, 0x28BE60DB, 0x9391054A, 0x7F09D5F4, 0x7D4D3770, 0x36D8A566, 0x4F10E410, 0x7F9458EA)
"""1 / (2 pi) in words of 32 bits behind the point, and a word of zeros for angles below one."""

_SMALL_BITS = 0x3B000000
"""Of 2^-9, below which an angle needs no reduction."""

_INFINITY_BITS = 0x7F800000
_SIGN = 31

# Taylor series to the degree beyond which a float32 sees no difference within a quarter of pi.
_SINE = tuple((-1) ** n / math.factorial(2 * n + 1) for n in range(5))
_COSINE = tuple((-1) ** n / math.factorial(2 * n) for n in range(6))


def sin(x: Expr) -> Expr:
    """Sine within 2 ULP."""
    if dtype_of(x) != "float32":
        return tirx.sin(x)
    bits = _bits(x)
    quarter, angle = _reduced(bits)
    return _signed(_quarter_wave(quarter, angle), tirx.bitwise_xor(quarter >> 1, bits >> _SIGN), bits)


def cos(x: Expr) -> Expr:
    """Cosine within 2 ULP."""
    if dtype_of(x) != "float32":
        return tirx.cos(x)
    bits = _bits(x)
    quarter, angle = _reduced(bits)
    next_quarter = bind(quarter + 1)
    return _signed(_quarter_wave(next_quarter, angle), next_quarter >> 1, bits)


def _bits(x: Expr) -> Expr:
    """The bits of a float32; of one widened from bfloat16, TVM (seen on 0.27) takes others unless it is computed."""
    return bind(tirx.reinterpret("int32", bind(x * opaque_literal(1.0, "float32"))))


def _reduced(bits: Expr) -> tuple[Expr, Expr]:
    """The quarter of a turn that is nearest to an absolute value, and the angle from there, within a quarter of pi."""
    size = bind(bits & 0x7FFFFFFF)
    exponent = bind(tirx.max((size >> 23) - 118, 0))  # the first bit of 1 / (2 pi) that counts, zeros before it
    mantissa = bind(((size & 0x7FFFFF) | 0x800000).astype("uint64"))
    word, shift = bind(exponent >> 5), bind((exponent & 31).astype("uint64"))
    words = ((_word(word, i) << 32) | _word(word, i + 1) for i in (0, 2))
    first, second = (bind(opaque(each)) for each in words)  # TVM would take long to simplify the choices
    high = (first << shift) | ((second >> 1) >> (_u64(63) - shift))
    turns = bind(mantissa * high + ((mantissa * ((second << shift) >> 32)) >> 32))
    quarter = bind((turns + _u64(1 << 61)) >> 62)
    rest = tirx.reinterpret("int64", turns - (quarter << 62))
    angle = (rest.astype("float64") * constant(2 * math.pi / 2**64, "float64")).astype("float32")
    is_small = size < _SMALL_BITS
    nearest = tirx.Select(is_small, constant(0, "int32"), quarter.astype("int32"))
    return bind(nearest), bind(tirx.Select(is_small, tirx.reinterpret("float32", size), angle))


def _word(number: Expr, behind: int) -> Expr:
    """The word `behind` the one with this number."""
    result: Expr = constant(_WORDS[4 + behind], "uint32")
    for i in reversed(range(4)):
        result = tirx.Select(tirx.EQ(number, i), constant(_WORDS[i + behind], "uint32"), result)
    return result.astype("uint64")


def _quarter_wave(quarter: Expr, angle: Expr) -> Expr:
    """Sine of an angle within a quarter of pi, or its cosine in odd quarters."""
    square = bind(angle * angle)
    sine, cosine = (constant(series[-1], "float32") for series in (_SINE, _COSINE))
    for coefficient in reversed(_SINE[1:-1]):
        sine = sine * square + constant(coefficient, "float32")
    for coefficient in reversed(_COSINE[:-1]):
        cosine = cosine * square + constant(coefficient, "float32")
    return bind(tirx.Select(tirx.EQ(quarter & 1, 1), cosine, angle + angle * square * sine))


def _signed(value: Expr, sign: Expr, bits: Expr) -> Expr:
    """The value with its sign turned by the lowest bit of `sign`; NaN for what is no finite angle."""
    turned = tirx.bitwise_xor(tirx.reinterpret("int32", value), sign << _SIGN)
    is_finite = (bits & 0x7FFFFFFF) < _INFINITY_BITS
    return tirx.Select(is_finite, tirx.reinterpret("float32", turned), constant(math.nan, "float32"))


def _u64(value: int) -> Expr:
    return constant(value, "uint64")
