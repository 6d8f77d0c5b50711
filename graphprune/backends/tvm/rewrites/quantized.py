"""Operators on quantized integers as arithmetic on wider ones or on floats."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from graphprune.backends.tvm.rewrites.exact_sums import largest_sums, sum_products
from graphprune.backends.tvm.rewrites.integer_products import fits_signed_byte
from graphprune.passes.definition import Array, Define, Definition


def _centred(define: Definition, index: int, zero: int) -> str:
    """Input `index` minus its zero point, as int32."""
    wide = define.cast(define.inputs[index], np.int32)
    if not define.has(zero):
        return wide
    point = define.cast(define.inputs[zero], np.int32)
    if define.shape(zero) in ((), (1,)) or index == 1:
        return define("Sub", wide, point)
    return define("Sub", wide, define.reshape(point, (*define.shape(zero), 1)))  # one a row


def _signed_weight(define: Definition) -> Array | None:
    """The constant weight of a product as signed bytes without its zero point.

    None where it is so already, is not constant, or does not fit.
    """
    values, point = define.known(1), define.known(3) if define.has(3) else np.zeros((), np.int8)
    if values is None or point is None or (values.dtype == np.int8 and not define.has(3)):
        return None
    axis = values.ndim - 1 if define.node.op_type == "MatMulInteger" else 0
    point = point.reshape(-1, *[1] * (values.ndim - 1 - axis)) if point.ndim == 1 else point
    wide = values.astype(np.int16) - point.astype(np.int16)
    return wide.astype(np.int8) if fits_signed_byte(wide) else None


def _matmul_integer(define: Definition) -> onnx.FunctionProto:
    """By a signed weight, with what the zero points come to added; else in floats, which have a kernel anyway."""
    weight = define.known(1) if define.has(2) and not define.has(3) and define.dtype(1) == np.int8 else None
    weight = _signed_weight(define) if weight is None else weight
    if weight is None or weight.ndim < len("KN"):
        return define.finish(_sum_matmul(define))
    total = define("MatMulInteger", define.inputs[0], define.constant(weight, np.int8))
    if define.has(2):
        sums = define.constant(-weight.sum(-2, keepdims=True, dtype=np.int32), np.int32)
        total = define("Add", total, define("Mul", _zero_point(define), sums))
    return define.finish(total)


def _zero_point(define: Definition) -> str:
    """That of the first operand, as int32: one number, or one a row."""
    point = define.cast(define.inputs[2], np.int32)
    return point if define.shape(2) in ((), (1,)) else define.reshape(point, (*define.shape(2), 1))


def _sum_matmul(define: Definition) -> str:
    operands = _centred(define, 0, 2), _centred(define, 1, 3)
    if len(define.shape(1)) < len("KN") or len(define.shape(0)) < len("MK"):
        return define("MatMul", *operands)
    return sum_products(define, "MatMul", operands, largest_sums(define, (0, 2), (1, 3), axis=-2), axes=(-1, -2))


def _conv_attributes(define: Definition) -> dict[str, Any]:
    return {name: attribute.value for name, attribute in define.node.attributes.items()}


def _conv_integer(define: Definition) -> onnx.FunctionProto:
    """By a signed weight; else in floats, which have a kernel anyway."""
    signed = _signed_weight(define)
    if signed is not None:
        inputs = [define.inputs[0], define.constant(signed, np.int8), *define.inputs[2:3]]
        return define.finish(define("ConvInteger", *inputs, **_conv_attributes(define)))
    weight = define.cast(define.inputs[1], np.int32)
    if define.has(3):
        weight = define("Sub", weight, _per_output(define, 3, np.int32, len(define.shape(1))))
    magnitudes, operands = largest_sums(define, (0, 2), (1, 3), axis=1), (_centred(define, 0, 2), weight)
    return define.finish(sum_products(define, "Conv", operands, magnitudes, (1, 1), **_conv_attributes(define)))


def _per_output(define: Definition, index: int, dtype: type[np.generic], rank: int) -> str:
    """A scale or zero point that is a scalar or has one element an output channel, for a weight of this rank."""
    value = define.cast(define.inputs[index], dtype)
    count = int(np.prod(define.shape(index)))
    return define.reshape(value, [count, *[1] * (rank - 1)])


def _requantized(define: Definition, total: str, scales: tuple[str, str], output: tuple[int, int]) -> str:
    """An int32 sum times both scales, over that of the output, quantized with its zero point."""
    scale, zero = (define.inputs[i] for i in output)
    factor = define("Div", define("Mul", *scales), define.reshape(define.cast(scale, np.float32), ()))
    scaled = define("Mul", define.cast(total, np.float32), factor)
    return define("QuantizeLinear", scaled, define.constant(1, np.float32), define.reshape(zero, ()))


def _dynamic_quantization(define: Definition) -> onnx.FunctionProto:
    """As ONNX defines it, with a scale of 1 where all elements are 0, as ONNX Runtime has it: there is no 0 / 0."""
    zero, most = define.like(0), define.like(255)
    low, high = (
        define(limit, define(f"Reduce{limit}", define.inputs[0], keepdims=0), zero) for limit in ("Min", "Max")
    )
    extent = define("Sub", high, low)
    scale = define("Where", define("Equal", extent, zero), define.like(1), define("Div", extent, most))
    offset = define("Clip", define("Sub", zero, define("Div", low, scale)), zero, most)
    point = define.cast(define("Round", offset), np.uint8)
    return define.finish(define("QuantizeLinear", define.inputs[0], scale, point), scale, point)


def _quantized_matmul(define: Definition) -> onnx.FunctionProto | None:
    """With a scale and zero point for each matrix, or for each column of the second."""
    sizes = [int(np.prod(define.shape(i), dtype=np.int64)) for i in (1, 2, 6, 7)]
    if any(size != 1 for size in sizes) or any(len(define.shape(i)) > 1 for i in (4, 5)):
        return None
    first, second = (define.cast(define.inputs[i], np.float32) for i in (1, 4))
    total = define("MatMulInteger", *(define.inputs[i] for i in (0, 3, 2, 5)))
    return define.finish(_requantized(define, total, (define.reshape(first, ()), second), (6, 7)))


def _quantized_conv(define: Definition) -> onnx.FunctionProto:
    rank = len(define.shape(3))
    total = define("ConvInteger", *(define.inputs[i] for i in (0, 3, 2, 5)), **_conv_attributes(define))
    if define.has(8):
        total = define("Add", total, define.reshape(define.inputs[8], [-1, *[1] * (rank - 2)]))
    channels = define.reshape(define.cast(define.inputs[4], np.float32), [-1, *[1] * (rank - 2)])
    x_scale = define.reshape(define.cast(define.inputs[1], np.float32), ())
    return define.finish(_requantized(define, total, (x_scale, channels), (6, 7)))


def _broadcast_scales(define: Definition) -> onnx.FunctionProto | None:
    """(De)quantization by axis or in blocks: scale and zero point in a shape that broadcasts to the input's."""
    node, shape = define.node, define.shape()
    if len(define.shape(1)) == len(shape) and node.attributes.get_int("block_size", 0) == 0:
        return None
    axis = node.attributes.get_int("axis", 1) % len(shape)
    block = node.attributes.get_int("block_size", 0)
    operands = [
        _repeated(define, i, axis, block, shape) if block else _along(define, i, axis, len(shape))
        for i in (1, 2)
        if define.has(i)
    ]
    attributes = {k: a.value for k, a in node.attributes.items() if k not in ("axis", "block_size")}
    return define.finish(define(node.op_type, define.inputs[0], *operands, **attributes))


def _along(define: Definition, index: int, axis: int, rank: int) -> str:
    return define.reshape(define.inputs[index], [-1 if a == axis else 1 for a in range(rank)])


def _repeated(define: Definition, index: int, axis: int, block: int, shape: tuple[int, ...]) -> str:
    blocks = define.shape(index)
    wide = define.reshape(define.inputs[index], (*blocks[: axis + 1], 1, *blocks[axis + 1 :]))
    spread = define("Expand", wide, define.constant([*blocks[: axis + 1], block, *blocks[axis + 1 :]]))
    merged = define.reshape(spread, (*blocks[:axis], blocks[axis] * block, *blocks[axis + 1 :]))
    return define.slice(merged, axis, 0, shape[axis])


QUANTIZED: dict[str, Define] = {
    "MatMulInteger": _matmul_integer,
    "ConvInteger": _conv_integer,
    "DynamicQuantizeLinear": _dynamic_quantization,
    "QLinearMatMul": _quantized_matmul,
    "QLinearConv": _quantized_conv,
    "QuantizeLinear": _broadcast_scales,
    "DequantizeLinear": _broadcast_scales,
}
