"""Operators on quantized integers as arithmetic on wider ones or on floats."""

from __future__ import annotations

import numpy as np
import onnx

from graphprune.backends.tvm.rewrites.exact_sums import largest_sums, sum_products
from graphprune.passes.definition import Define, Definition


def _centred(define: Definition, index: int, zero: int) -> str:
    """Input `index` minus its zero point, as int32."""
    wide = define.cast(define.inputs[index], np.int32)
    if not define.has(zero):
        return wide
    point = define.cast(define.inputs[zero], np.int32)
    if define.shape(zero) in ((), (1,)) or index == 1:
        return define("Sub", wide, point)
    return define("Sub", wide, define.reshape(point, (*define.shape(zero), 1)))  # one a row


def _matmul_integer(define: Definition) -> onnx.FunctionProto:
    return define.finish(_integer_matmul(define, (_centred(define, 0, 2), _centred(define, 1, 3)), (0, 2), (1, 3)))


def _integer_matmul(define: Definition, operands: tuple[str, str], x: tuple[int, int], weight: tuple[int, int]) -> str:
    """The int32 product of int32 values, which these inputs and zero points were."""
    if len(define.shape(weight[0])) < len("KN") or len(define.shape(x[0])) < len("MK"):
        return define("MatMul", *operands)
    return sum_products(define, "MatMul", operands, largest_sums(define, x, weight, axis=-2), axes=(-1, -2))


def _conv_attributes(define: Definition) -> dict[str, object]:
    return {name: attribute.value for name, attribute in define.node.attributes.items()}


def _conv_integer(define: Definition) -> onnx.FunctionProto:
    weight = define.cast(define.inputs[1], np.int32)
    if define.has(3):
        weight = define("Sub", weight, _per_output(define, 3, np.int32, len(define.shape(1))))
    return define.finish(_integer_conv(define, (_centred(define, 0, 2), weight), (0, 2), (1, 3)))


def _integer_conv(define: Definition, operands: tuple[str, str], x: tuple[int, int], weight: tuple[int, int]) -> str:
    """The int32 convolution of int32 values, which these inputs and zero points were."""
    magnitudes = largest_sums(define, x, weight, axis=1)
    return sum_products(define, "Conv", operands, magnitudes, axes=(1, 1), **_conv_attributes(define))


def _per_output(define: Definition, index: int, dtype: type[np.generic], rank: int) -> str:
    """A scale or zero point that is a scalar or has one element an output channel, for a weight of this rank."""
    value = define.cast(define.inputs[index], dtype)
    count = int(np.prod(define.shape(index)))
    return define.reshape(value, [count, *[1] * (rank - 1)])


def _requantized(define: Definition, total: str, scales: tuple[str, str], output: tuple[int, int]) -> str:
    """An int32 sum times both scales, quantized with the output's scale and zero point."""
    factor = define("Mul", *scales)
    scaled = define("Mul", define.cast(total, np.float32), factor)
    scale, zero = (define.inputs[i] for i in output)
    return define(
        "QuantizeLinear", scaled, define.reshape(define.cast(scale, np.float32), ()), define.reshape(zero, ())
    )


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
    if any(np.prod(define.shape(i), dtype=np.int64) != 1 for i in (1, 2, 4, 5, 6, 7)):
        return None
    a = define("Sub", define.cast(define.inputs[0], np.int32), define.cast(define.inputs[2], np.int32))
    b = define("Sub", define.cast(define.inputs[3], np.int32), define.cast(define.inputs[5], np.int32))
    scales = [define.reshape(define.cast(define.inputs[i], np.float32), ()) for i in (1, 4)]
    total = _integer_matmul(define, (a, b), (0, 2), (3, 5))
    return define.finish(_requantized(define, total, (scales[0], scales[1]), (6, 7)))


def _quantized_conv(define: Definition) -> onnx.FunctionProto:
    rank = len(define.shape(3))
    x = define("Sub", define.cast(define.inputs[0], np.int32), define.cast(define.inputs[2], np.int32))
    weight = define.cast(define.inputs[3], np.int32)
    weight = define("Sub", weight, _per_output(define, 5, np.int32, rank))
    total = _integer_conv(define, (x, weight), (0, 2), (3, 5))
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
