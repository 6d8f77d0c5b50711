"""QuantizeLinear and DequantizeLinear as element-wise operators, with one scale a tensor or one an index of an axis."""

from __future__ import annotations

import onnx_ir as ir
from tvm import tirx

from graphprune.backends.tvm.kernels.builder import Expr, bind, constant
from graphprune.backends.tvm.kernels.math import dtype_of
from graphprune.backends.tvm.kernels.opaque import literal_value, nearest_integer
from graphprune.backends.tvm.operators.scalar_base import (
    HALF_FLOATS,
    Arguments,
    Scalar,
    narrowed,
    optional,
    output_dtype,
)


def saturated(x: Expr, dtype: str) -> Expr:
    """A float32 or int32 element as a narrow integer, limited to that dtype's range; NaN becomes its smallest value."""
    low, high = (constant(limit(dtype).value, dtype_of(x)) for limit in (tirx.min_value, tirx.max_value))
    value = bind(x)
    above = bind(tirx.Select(value > low, value, low))
    limited = tirx.Select(above < high, above, high)
    return limited.astype("int32").astype(dtype)


def _quantize(node: ir.Node, a: Arguments) -> Expr:
    x, scale, zero = a[0].astype("float32"), a[1].astype("float32"), optional(a, 2)
    rounded = nearest_integer(x if literal_value(a[1]) == 1 else x / scale)
    shifted = rounded if zero is None or literal_value(zero) == 0 else rounded + zero.astype("float32")
    return saturated(shifted, output_dtype(node))


def _dequantize(node: ir.Node, a: Arguments) -> Expr:
    zero = optional(a, 2)
    centred = a[0].astype("int32") if zero is None else a[0].astype("int32") - zero.astype("int32")
    scale = a[1].astype("float32")
    result = centred.astype("float32") * scale
    wanted = output_dtype(node)
    return narrowed(result, wanted) if wanted in HALF_FLOATS else result


QUANTIZATION: dict[str, Scalar] = {"QuantizeLinear": _quantize, "DequantizeLinear": _dequantize}
