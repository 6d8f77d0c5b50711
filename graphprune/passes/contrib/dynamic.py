"""Products of floats that are quantized when they are known, and of weights that are quantized in the file."""

from __future__ import annotations

import numpy as np
import onnx

from graphprune.passes.contrib.contrib import Contrib, any_shape, names, unsupported
from graphprune.passes.contrib.quantized_lstm import MOST_STEPS, Direction, written_out
from graphprune.passes.definition import Definition

_WEIGHT_STEPS = {1: 8, 2: 10}
"""Of the weights of a quantized LSTM: where the scale is; its zero point is behind it."""


def _quantize(define: Definition, value: str) -> tuple[str, str, str]:
    """A float tensor as 8-bit integers, with the scale and zero point of its range."""
    position = len(define.nodes)
    outputs = [f"v{position}", f"v{position}.scale", f"v{position}.zero"]
    define.nodes.append(onnx.helper.make_node("DynamicQuantizeLinear", [value], outputs))
    return outputs[0], outputs[1], outputs[2]


def _scaled(define: Definition, total: str, *scales: str) -> str:
    """A sum of products of integers in units of both scales."""
    return define("Mul", define.cast(total, np.float32), define("Mul", *scales))


def _plus_bias(define: Definition, y: str, position: int) -> onnx.FunctionProto:
    return define.finish(define("Add", y, define.inputs[position]) if define.has(position) else y)


def _dynamic_product(define: Definition) -> onnx.FunctionProto:
    """Inputs: A, B, the scale of B, its zero point, bias."""
    a, a_scale, a_zero = _quantize(define, define.inputs[0])
    zero = [define.inputs[3]] if define.has(3) else []
    total = define("MatMulInteger", a, define.inputs[1], a_zero, *zero)
    return _plus_bias(define, _scaled(define, total, a_scale, define.inputs[2]), 4)


def _integer_product(define: Definition) -> onnx.FunctionProto:
    """Inputs: A, B, the scale of A, that of B, the zero point of A, that of B, bias."""
    zeros = [define.inputs[index] if define.has(index) else "" for index in (4, 5)]
    total = define("MatMulInteger", define.inputs[0], define.inputs[1], *zeros)
    return _plus_bias(define, _scaled(define, total, define.inputs[2], define.inputs[3]), 6)


def _multiply_quantized(direction: Direction, value: str, position: int) -> str:
    """The product with a weight [n, gates * hidden] of integers, of a float value that is quantized as a whole."""
    define, first = direction.define, _WEIGHT_STEPS[position]
    quantized, scale, zero = _quantize(define, value)
    weight, weight_scale, weight_zero = (direction.operand(index) for index in (position, first, first + 1))
    assert weight is not None
    assert weight_scale is not None
    total = define("MatMulInteger", quantized, weight, zero, *([] if weight_zero is None else [weight_zero]))
    return _scaled(define, total, scale, weight_scale)


def _lstm(define: Definition) -> onnx.FunctionProto:
    """As ONNX's LSTM, step by step, on one thread: several may quantize parts of a batch on their own."""
    body = written_out(define, _multiply_quantized, define.shape(2)[1])
    if body is None:
        raise unsupported(f"more than {MOST_STEPS} steps, 'clip', or an activation with parameters")
    return body


DYNAMIC: dict[str, Contrib] = {
    "DynamicQuantizeMatMul": any_shape(_dynamic_product, inputs=5),
    "MatMulIntegerToFloat": any_shape(_integer_product, inputs=7),
    "DynamicQuantizeLSTM": Contrib(
        _lstm,
        names("activations direction hidden_size input_forget"),
        (0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11),  # not 4, the lengths of sequences: which steps count for a range?
        (0, 1, 2),
    ),
}
