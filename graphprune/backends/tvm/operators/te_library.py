"""Functions of the C library without a vector form, which TVM cannot mix with vectors in one kernel: Mod, Asinh, ..."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from tvm import te, tirx

from graphprune.backends.tvm.kernels.builder import Expr
from graphprune.backends.tvm.kernels.math import dtype_of
from graphprune.backends.tvm.kernels.opaque import opaque
from graphprune.backends.tvm.operators.arithmetic import remainder
from graphprune.backends.tvm.operators.te import Compute, Expression, Tensor, shape_of
from graphprune.backends.tvm.operators.te_products import broadcast_index


def modulo(e: Expression) -> Sequence[Tensor]:
    """Mod: the remainder with the sign of the divisor, or of the dividend where `fmod` is set."""
    x, y = e[0], e[1]
    shape = np.broadcast_shapes(shape_of(x), shape_of(y))
    dtype = str(x.dtype)
    truncated = e.node.attributes.get_int("fmod", 0) != 0

    def element(*index: Expr) -> Expr:
        place = index if shape else ()
        a, b = (t(*broadcast_index(place, shape_of(t))) for t in (x, y))
        compute = _float_remainder if "float" in dtype else remainder
        return opaque(compute(a, b, truncated=truncated))

    return [te.compute(shape or (1,), element, "modulo")]


def _float_remainder(a: Expr, b: Expr, *, truncated: bool) -> Expr:
    dtype = dtype_of(a)
    wide = tirx.call_pure_extern("float64", "fmod", a.astype("float64"), b.astype("float64"))
    rest = wide.astype(dtype)
    if truncated:
        return rest
    zero = tirx.const(0, dtype)
    differs = tirx.any(tirx.all(rest < zero, b > zero), tirx.all(rest > zero, b < zero))
    return tirx.Select(differs, rest + b, rest)


def function(compute: Callable[[Expr], Expr]) -> Compute:
    """An element-wise function of one input."""

    def apply(e: Expression) -> Sequence[Tensor]:
        x = e[0]
        shape = shape_of(x)
        return [te.compute(shape or (1,), lambda *i: compute(x(*(i if shape else ()))), "function")]

    return apply


def _atanh(x: Expr) -> Expr:
    """log((1 + x) / (1 - x)) / 2 in float64; near 0, where the quotient loses the digits of `x`, its odd series."""
    wide = x.astype("float64")
    square, one = wide * wide, tirx.const(1, "float64")
    series: Expr = tirx.const(1 / 11, "float64")
    for term in (9, 7, 5, 3, 1):
        series = series * square + tirx.const(1 / term, "float64")
    outer = tirx.log((one + wide) / (one - wide)) * tirx.const(0.5, "float64")
    return tirx.Select(square < tirx.const(1e-3, "float64"), series * wide, outer).astype(dtype_of(x))


FUNCTIONS: dict[str, Compute] = {
    "Mod": modulo,
    "Asinh": function(tirx.asinh),
    "Acosh": function(tirx.acosh),
    "Atanh": function(_atanh),
}
