"""Float32 functions as polynomials and bit arithmetic that vectorise; other dtypes keep TVM's own intrinsics.

TVM calls the C library once per element for these functions, 10-30 times slower than the vectors of a kernel. Each
function here takes and returns a TIR expression inside a function under construction. Errors are the largest over every
finite float32, in units in the last place (ULP) of the true result; NaN gives NaN and infinities their limits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tvm import tirx

from graphprune.backends.tvm.kernels.builder import Expr, bind, constant

_ROUND = 1.5 * 2.0**23
"""Added to a small float32, it leaves the nearest integer in the low bits."""
_ROUND_BITS = 0x4B400000
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440054690583e-4
_SQRT_HALF_BITS = 0x3F3504F3

# Minimax fits of relative error (Lawson iteration in 40 digits), lowest power first.
# exp(r) = 1 + r + r^2 E(r) for |r| <= ln(2) / 2.
_EXP = (0.49999999549136026, 0.16666576879989992, 0.041666854543656234, 0.00836321377697606, 0.0013901292511561316)
# log(1 + f) = f - f^2 / 2 + f^3 L(f) for sqrt(1/2) <= 1 + f < sqrt(2).
_LOG = (
    *(0.3333333117349725, -0.24999994017526364, 0.2000071479718337, -0.16668055586412076, 0.14249319853337197),
    *(-0.12420185472035675, 0.11677074060529889, -0.11514332728128111, 0.07037135870500223),
)
# tanh(x) = x P(x^2) / Q(x^2) for |x| <= 9.02.
_TANH_LIMIT = 9.02
_TANH_P = (
    *(0.9999999987043612, 0.13679939983161082, 0.0038683580176211412),
    *(2.800801348117879e-05, 3.058613867750643e-08, -1.2204104030779261e-11),
)
_TANH_Q = (1.0, 0.4701327205453274, 0.027245952038664957, 0.00039386824689943993, 1.2874024197094097e-06)
# erf(x) = x P(x^2) / Q(x^2) for |x| <= 3.925.
_ERF_LIMIT = 3.925
_ERF_P = (
    *(1.1283791460572694, 0.19056922484217426, 0.05276563690258918),
    *(0.003771383439115134, 0.00028479811679967676, 2.0459649605284955e-06),
)
_ERF_Q = (
    *(1.0, 0.5022203157180632, 0.1141722032531146),
    *(0.01498087766708635, 0.0011635390554219209, 3.8044751834894163e-05),
)


def exp(x: Expr) -> Expr:
    """e^x within 1.1 ULP, denormal results included."""
    if dtype_of(x) != "float32":
        return tirx.exp(x)
    x = bind(_clamp(x, -104.0, 89.0))
    rounded = bind(_bits(x * _f32(math.log2(math.e)) + _f32(_ROUND)))
    n = bind(_float(rounded) - _f32(_ROUND))
    r = bind(bind(x - n * _f32(_LN2_HIGH)) - n * _f32(_LN2_LOW))
    mantissa = _f32(1.0) + (r + r * r * _polynomial(r, _EXP))
    power = bind(rounded - _ROUND_BITS)
    half = bind(power >> 1)  # in two steps, so that neither 2^128 nor a denormal power is needed
    return mantissa * _power_of_two(half) * _power_of_two(power - half)


def log(x: Expr) -> Expr:
    """Natural logarithm within 1 ULP; -infinity at 0, NaN below."""
    if dtype_of(x) != "float32":
        return tirx.log(x)
    x = bind(x)
    tiny = x < _f32(2.0**-126)
    bits = bind(_bits(tirx.Select(tiny, x * _f32(2.0**23), x)) - _SQRT_HALF_BITS)
    power = bind((bits >> 23).astype("float32") - tirx.Select(tiny, _f32(23.0), _f32(0.0)))
    f = bind(_float((bits & 0x7FFFFF) + _SQRT_HALF_BITS) - _f32(1.0))
    square = bind(f * f)
    rest = f * square * _polynomial(f, _LOG) - _f32(0.5) * square + power * _f32(_LN2_LOW)
    result = power * _f32(_LN2_HIGH) + bind(f + rest)
    result = tirx.Select(x < _f32(math.inf), result, x)
    return tirx.Select(x > _f32(0.0), result, tirx.Select(x == _f32(0.0), _f32(-math.inf), _f32(math.nan)))


def tanh(x: Expr) -> Expr:
    """Hyperbolic tangent within 5 ULP; exactly +-1 beyond +-9.02."""
    if dtype_of(x) != "float32":
        return tirx.tanh(x)
    return _odd_rational(x, _TANH_P, _TANH_Q, _TANH_LIMIT)


def erf(x: Expr) -> Expr:
    """Error function within 6 ULP (4e-7); exactly +-1 beyond +-3.925."""
    if dtype_of(x) != "float32":
        return tirx.erf(x)
    return _odd_rational(x, _ERF_P, _ERF_Q, _ERF_LIMIT)


def sigmoid(x: Expr) -> Expr:
    """1 / (1 + e^-x) within 3 ULP, denormal results included."""
    x = bind(x)
    small = bind(exp(-tirx.abs(x)))
    one = constant(1.0, dtype_of(x))
    return tirx.Select(x >= constant(0.0, dtype_of(x)), one, small) / (one + small)


def softplus(x: Expr) -> Expr:
    """log(1 + e^x) within 3 ULP, without overflow for large x."""
    x = bind(x)
    one, zero = constant(1.0, dtype_of(x)), constant(0.0, dtype_of(x))
    small = bind(exp(-tirx.abs(x)))
    total = bind(one + small)
    lost = small - (total - one)
    return tirx.Select(x < zero, zero, x) + (log(total) + lost / total)


def gelu(x: Expr) -> Expr:
    """Gaussian error linear unit, x (1 + erf(x / sqrt(2))) / 2."""
    x = bind(x)
    half = constant(0.5, dtype_of(x))
    return half * x * (constant(1.0, dtype_of(x)) + erf(x * constant(math.sqrt(0.5), dtype_of(x))))


def gelu_tanh(x: Expr) -> Expr:
    """The tanh form of `gelu`, x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2."""
    x = bind(x)
    half, one = constant(0.5, dtype_of(x)), constant(1.0, dtype_of(x))
    inner = constant(math.sqrt(2 / math.pi), dtype_of(x)) * (x + constant(0.044715, dtype_of(x)) * x * x * x)
    return half * x * (one + tanh(inner))


def _odd_rational(x: Expr, p: Sequence[float], q: Sequence[float], limit: float) -> Expr:
    """The odd function x p(x^2) / q(x^2) within +-limit, +-1 outside; never beyond +-1."""
    x = bind(x)
    square = bind(x * x)
    inside = _clamp(bind(x * _polynomial(square, p) / _polynomial(square, q)), -1.0, 1.0)
    above = tirx.Select(x > _f32(limit), _f32(1.0), inside)
    return tirx.Select(x < _f32(-limit), _f32(-1.0), above)


def _polynomial(x: Expr, coefficients: Sequence[float]) -> Expr:
    """Horner's rule; `coefficients` start with the lowest power."""
    *rest, value = (_f32(c) for c in coefficients)
    for coefficient in reversed(rest):
        value = value * x + coefficient
    return value


def _clamp(x: Expr, low: float, high: float) -> Expr:
    """`x` between two limits; NaN stays NaN, which `min` and `max` would drop."""
    x = bind(x)
    below = bind(tirx.Select(x > _f32(high), _f32(high), x))
    return tirx.Select(below < _f32(low), _f32(low), below)


def _power_of_two(n: Expr) -> Expr:
    return _float((n + 127) << 23)


def _bits(x: Expr) -> Expr:
    return tirx.reinterpret("int32", x)


def _float(bits: Expr) -> Expr:
    return tirx.reinterpret("float32", bits)


def dtype_of(x: Expr) -> str:
    """The dtype of a scalar expression."""
    return str(x.ty.dtype)


def _f32(value: float) -> Expr:
    return constant(value, "float32")
