"""What the tables of element-wise operators are written with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir
from tvm import tirx

from graphprune.backends.tvm.kernels.builder import Expr, bind, constant
from graphprune.backends.tvm.kernels.math import dtype_of
from graphprune.backends.tvm.kernels.opaque import literal_value, opaque_literal

Arguments = Sequence[Expr]
"""One element of each input; None for an optional input that is absent."""

Scalar = Callable[[ir.Node, Arguments], Expr]

HALF_FLOATS = ("float16", "bfloat16")


def like(x: Expr, value: float) -> Expr:
    """A literal of the dtype of `x`."""
    return opaque_literal(value, dtype_of(x))


def is_float(x: Expr) -> bool:
    """True for an element of any floating-point dtype."""
    return dtype_of(x).startswith(("float", "bfloat"))


def is_unsigned(x: Expr) -> bool:
    """True for an element of an unsigned integer dtype."""
    return dtype_of(x).startswith("uint")


INFINITY_BITS = {
    "float64": ("int64", 0x7FF0000000000000),
    "float32": ("int32", 0x7F800000),
    "float16": ("int16", 0x7C00),
    "bfloat16": ("int16", 0x7F80),
}
"""The integer type of each float's size, and infinity's bits in it."""


def largest(dtype: str) -> float:
    """The largest finite number of a float: its bits are those before infinity."""
    integer, infinity = INFINITY_BITS[dtype]
    return float(np.array(infinity - 1, integer).view(dtype))


def is_nan(x: Expr) -> Expr:
    """Whether an element is not a number; never, for integers.

    By its bits: TVM lowers its own test to a `let`, whose variable is lost where the element is itself a variable.
    """
    if not is_float(x):
        return constant(value=False, dtype="bool")
    integer, infinity = INFINITY_BITS[dtype_of(x)]
    magnitude = tirx.reinterpret(integer, x) & constant((1 << (int(integer[3:]) - 1)) - 1, integer)
    return magnitude > constant(infinity, integer)


def narrowed(x: Expr, dtype: str) -> Expr:
    """A float32 element in half precision, rounded to nearest, ties to even.

    TVM keeps a bfloat16 as the float32 that it was, and cuts NaN to infinity, so that one is rounded by its bits.
    """
    if dtype != "bfloat16":
        return x.astype(dtype)
    x = bind(x)
    bits = tirx.reinterpret("uint32", x)
    odd = (bits >> constant(16, "uint32")) & constant(1, "uint32")
    upper = (bits + constant(0x7FFF, "uint32") + odd) & constant(0xFFFF0000, "uint32")
    return tirx.Select(is_nan(x), like(x, math.nan), tirx.reinterpret("float32", upper)).astype(dtype)


def float_attribute(node: ir.Node, name: str, default: float) -> float:
    """A float attribute, or its default, which is float32 as well."""
    return float(np.float32(node.attributes.get_float(name, default)))


def optional(arguments: Arguments, index: int) -> Expr | None:
    """Input `index`, or None if the node does not have it."""
    return arguments[index] if index < len(arguments) else None


def output_dtype(node: ir.Node) -> str:
    """TVM's name of the dtype of the node's first output."""
    dtype = node.outputs[0].dtype
    assert dtype is not None
    return "bool" if dtype == ir.DataType.BOOL else str(dtype.numpy())


def unary(function: Callable[[Expr], Expr]) -> Scalar:
    """An operator of one input."""
    return lambda _node, a: function(a[0])


def binary(function: Callable[[Expr, Expr], Expr]) -> Scalar:
    """An operator of two inputs."""
    return lambda _node, a: function(a[0], a[1])


def fold(function: Callable[[Expr, Expr], Expr]) -> Scalar:
    """An operator of any number of inputs, combined from left to right."""

    def variadic(_node: ir.Node, a: Arguments) -> Expr:
        result = a[0]
        for x in a[1:]:
            result = function(result, x)
        return result

    return variadic


def _widened(x: Expr | None) -> Expr | None:
    """A half-precision element in float32, a literal as one; others as they are."""
    if x is None or dtype_of(x) not in HALF_FLOATS:
        return x
    value = literal_value(x)
    return x.astype("float32") if value is None else opaque_literal(value, "float32")


def in_float32(function: Scalar) -> Scalar:
    """The operator with half-precision floats computed in float32 and rounded once, at the end."""

    def widened(node: ir.Node, a: Arguments) -> Expr:
        if not any(x is not None and dtype_of(x) in HALF_FLOATS for x in a):
            return function(node, a)
        result = function(node, [_widened(x) for x in a])
        wanted = output_dtype(node)
        return narrowed(result, wanted) if wanted in HALF_FLOATS and dtype_of(result) == "float32" else result

    return widened
