"""Operators on 8-bit integers: their operands are dequantized, and the result is quantized again."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx

from graphprune.passes.contrib.contrib import ANY_NUMBER, Contrib, any_shape, kept, names, rank, unsupported
from graphprune.passes.definition import Define, Definition

_WINDOW = "auto_pad ceil_mode count_include_pad kernel_shape pads strides"
_CONVOLUTION = "auto_pad dilations group kernel_shape pads strides"
_OPERAND = 3  # value, scale and zero point
_SOFTMAX_ALONG_ONE = 13  # the operator set from which it is along one axis


def _real(define: Definition, first: int) -> str:
    """The numbers that an operand stands for; its scale and zero point are the inputs behind it."""
    return define("DequantizeLinear", define.inputs[first], *_step(define, first + 1))


def _quantized(define: Definition, y: str, first: int) -> onnx.FunctionProto:
    """The result by the scale at `first`, and in the element type of the zero point behind it."""
    return define.finish(define("QuantizeLinear", y, *_step(define, first)))


def _step(define: Definition, first: int) -> list[str]:
    """Scale and zero point of a whole tensor, as scalars."""
    if not define.has(first + 1):
        raise unsupported(f"input {first + 1}, a zero point, is missing")
    for value in define.node.inputs[first : first + 2]:
        if value is not None and value.shape is not None and any(extent != 1 for extent in value.shape):
            raise unsupported(f"'{value.name}' has shape {value.shape}, expected one element")
    return [define.reshape(define.inputs[index], ()) for index in (first, first + 1)]


def _both(operator: str) -> Define:
    def body(define: Definition) -> onnx.FunctionProto:
        return _quantized(define, define(operator, _real(define, 0), _real(define, _OPERAND)), 2 * _OPERAND)

    return body


def _each(compute: Callable[[Definition, str], str]) -> Define:
    def body(define: Definition) -> onnx.FunctionProto:
        return _quantized(define, compute(define, _real(define, 0)), _OPERAND)

    return body


def _leaky(define: Definition, x: str) -> str:
    return define("LeakyRelu", x, alpha=define.node.attributes.get_float("alpha", 0.01))


def _mean(define: Definition, x: str) -> str:
    last = define.node.attributes.get_int("channels_last", 0)
    axes = define.constant([*range(2 - last, rank(define) - last)])
    return define("ReduceMean", x, axes, keepdims=1)


def _concat(define: Definition) -> onnx.FunctionProto:
    """The operands behind the scale and zero point of the result."""
    parts = [_real(define, first) for first in range(2, len(define.inputs), _OPERAND)]
    y = define("Concat", *parts, axis=define.node.attributes.get_int("axis", 0))
    return _quantized(define, y, 0)


def _product(define: Definition) -> onnx.FunctionProto:
    """The integers multiplied and added exactly, times `alpha` and both scales; a float without a scale of its own."""
    given = define.node.attributes
    first, second = (
        define("Transpose", define.inputs[index], perm=[1, 0]) if given.get_int(name, 0) else define.inputs[index]
        for index, name in ((0, "transA"), (_OPERAND, "transB"))
    )
    _, zero = _step(define, 1)
    total = define("MatMulInteger", first, second, zero, define.inputs[_OPERAND + 2])
    total = define("Add", total, define.inputs[2 * _OPERAND]) if define.has(2 * _OPERAND) else total
    scale = define("Mul", define.reshape(define.inputs[1], ()), define.inputs[_OPERAND + 1])
    scale = define("Mul", scale, define.like(given.get_float("alpha", 1.0), 1))
    y = define("Mul", define.cast(total, np.float32), scale)
    return _quantized(define, y, 2 * _OPERAND + 1) if define.has(2 * _OPERAND + 1) else define.finish(y)


def _softmax(define: Definition) -> onnx.FunctionProto:
    """Softmax along an axis; before operator set 13, over that axis and all behind it."""
    given, shape = define.node.attributes, define.shape()
    axis = given.get_int("axis", -1) % len(shape)
    x = _real(define, 0)
    if given.get_int("opset", 0) >= _SOFTMAX_ALONG_ONE:
        return _quantized(define, define("Softmax", x, axis=axis), _OPERAND)
    rows = define.reshape(x, (math.prod(shape[:axis]), math.prod(shape[axis:])))
    return _quantized(define, define.reshape(define("Softmax", rows, axis=-1), shape), _OPERAND)


def _average(define: Definition, x: str) -> str:
    last = define.node.attributes.get_int("channels_last", 0)
    y = define("AveragePool", _channels_second(define, x) if last else x, **kept(define, _WINDOW))
    return _channels_last(define, y) if last else y


def _where(define: Definition) -> onnx.FunctionProto:
    return _quantized(define, define("Where", define.inputs[0], _real(define, 1), _real(define, 4)), 7)


def _convolution(define: Definition) -> onnx.FunctionProto:
    """ONNX's own, of images whose channels may be last; the weight's are not."""
    given, (x, *operands) = define.node.attributes, define.inputs
    last = given.get_int("channels_last", 0)
    y = define("QLinearConv", _channels_second(define, x) if last else x, *operands, **kept(define, _CONVOLUTION))
    return define.finish(_channels_last(define, y) if last else y)


def _channels_second(define: Definition, x: str) -> str:
    return define("Transpose", x, perm=[0, rank(define) - 1, *range(1, rank(define) - 1)])


def _channels_last(define: Definition, x: str) -> str:
    return define("Transpose", x, perm=[0, *range(2, rank(define)), 1])


QUANTIZED: dict[str, Contrib] = {
    "QLinearAdd": any_shape(_both("Add"), "", 8),
    "QLinearMul": any_shape(_both("Mul"), "", 8),
    "QLinearSigmoid": any_shape(_each(lambda define, x: define("Sigmoid", x)), "", 5),
    "QLinearLeakyRelu": any_shape(_each(_leaky), "alpha", 5),
    "QLinearGlobalAveragePool": any_shape(_each(_mean), "channels_last", 5),
    "QLinearConcat": any_shape(_concat, "axis", ANY_NUMBER),
    "QGemm": any_shape(_product, "alpha transA transB", 9),
    "QLinearSoftmax": Contrib(_softmax, names("axis opset"), range(5)),
    "QLinearAveragePool": any_shape(_each(_average), f"{_WINDOW} channels_last", 5),
    "QLinearConv": any_shape(_convolution, f"{_CONVOLUTION} channels_last", 9),
    "QLinearWhere": any_shape(_where, "", 9),
}
