"""Arc functions in vectors, of float32 and float64.

The arc tangent is that of the Cephes library: two reductions and a quotient of polynomials (S. L. Moshier, "Methods and
Programs for Mathematical Functions", 1989). The others are arc tangents of what half an angle's tangent is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tvm import tirx

from graphprune.backends.tvm.kernels.builder import Expr, bind, constant
from graphprune.backends.tvm.kernels.math import dtype_of

_TAN_3PI8 = 1 + math.sqrt(2)
"""Beyond this tangent, that of 3/8 pi, an angle is taken from a quarter of a turn."""
_MIDDLE = {"float32": math.sqrt(2) - 1, "float64": 0.66}
"""Down to these tangents, it is taken from an eighth of a turn."""

# atan(x) = x + x^3 P(x^2) / Q(x^2) up to the middle, lowest power first.
_P = {
    "float32": (-3.33329491539e-1, 1.99777106478e-1, -1.38776856032e-1, 8.05374449538e-2),
    "float64": (
        *(-6.485021904942025371773e1, -1.228866684490136173410e2, -7.500855792314704667340e1),
        *(-1.615753718733365076637e1, -8.750608600031904122785e-1),
    ),
}
_Q = {
    "float32": (1.0,),
    "float64": (
        *(1.945506571482613964425e2, 4.853903996359136964868e2, 4.328810604912902668951e2),
        *(1.650270098316988542046e2, 2.485846490142306297962e1, 1.0),
    ),
}
_LOST = 6.123233995736765886130e-17
"""What float64 lacks of half of pi."""


def atan(x: Expr) -> Expr:
    """Arc tangent within 3 ULP."""
    dtype = dtype_of(x)
    one = constant(1, dtype)
    x = bind(x)
    size = bind(tirx.abs(x))
    is_far, is_near = size > constant(_TAN_3PI8, dtype), size <= constant(_MIDDLE[dtype], dtype)
    turned = bind(tirx.Select(is_far, -one, size - one) / tirx.Select(is_far, size, size + one))
    tangent = bind(tirx.Select(is_near, size, turned))
    square = bind(tangent * tangent)
    part = tangent * (square * _polynomial(square, _P[dtype]) / _polynomial(square, _Q[dtype])) + tangent
    start = tirx.Select(is_far, constant(math.pi / 2, dtype), constant(math.pi / 4, dtype))
    lost = tirx.Select(is_far, constant(_LOST, dtype), constant(_LOST / 2, dtype)) if dtype == "float64" else None
    beyond = start + (part if lost is None else part + lost)
    angle = bind(tirx.Select(is_near, part, beyond))
    return tirx.Select(x < constant(0, dtype), -angle, tirx.Select(tirx.EQ(size, constant(0, dtype)), x, angle))


def asin(x: Expr) -> Expr:
    """Arc sine within 4 ULP; NaN beyond 1."""
    one = constant(1, dtype_of(x))
    x = bind(x)
    return constant(2, dtype_of(x)) * atan(x / (one + tirx.sqrt((one - x) * (one + x))))


def acos(x: Expr) -> Expr:
    """Arc cosine within 4 ULP; NaN beyond 1."""
    one = constant(1, dtype_of(x))
    x = bind(x)
    return constant(2, dtype_of(x)) * atan(tirx.sqrt((one - x) / (one + x)))


def _polynomial(x: Expr, coefficients: Sequence[float]) -> Expr:
    """Horner's rule; `coefficients` start with the lowest power."""
    *rest, value = (constant(c, dtype_of(x)) for c in coefficients)
    for coefficient in reversed(rest):
        value = value * x + coefficient
    return value
