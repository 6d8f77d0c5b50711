"""Convolutions and products with what ONNX Runtime fused into them, and activations."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx

from graphprune.passes.contrib.contrib import Contrib, any_shape, kept, rank, unsupported
from graphprune.passes.definition import Definition

_CONVOLUTION = "auto_pad dilations group kernel_shape pads strides"
_PRODUCT = "alpha beta transA transB"
_OF_LEAKY_RELU = 0.01  # ONNX's default


def _fused_convolution(define: Definition) -> onnx.FunctionProto:
    """The activation of the convolution plus `Z`."""
    y = define("Conv", *define.inputs[:3], **kept(define, _CONVOLUTION))
    y = define("Add", y, define.inputs[3]) if define.has(3) else y
    given = define.node.attributes
    return define.finish(_activated(define, y, given.get_floats("activation_params", ())))


def _fused_gemm(define: Definition) -> onnx.FunctionProto:
    given = define.node.attributes
    unset = {"activation_beta", "activation_gamma"} & given.keys()
    if unset:
        raise unsupported(f"attribute '{min(unset)}' is set")
    y = define("Gemm", *define.inputs, **kept(define, _PRODUCT))
    slope = given.get_float("activation_alpha", _OF_LEAKY_RELU)
    return define.finish(_activated(define, y, (slope,)))


def _activated(define: Definition, y: str, parameters: Sequence[float]) -> str:
    kind = define.node.attributes.get_string("activation", "")
    if kind in {"Relu", "Sigmoid", "Tanh"}:
        return define(kind, y)
    if kind == "LeakyRelu" and len(parameters) == 1:
        return define(kind, y, alpha=parameters[0])
    if kind == "Clip" and len(parameters) == len(("min", "max")):
        return define(kind, y, *(define.like(bound, 1) for bound in parameters))
    if kind == "HardSigmoid" and len(parameters) == len(("alpha", "beta")):
        return define(kind, y, alpha=parameters[0], beta=parameters[1])
    raise unsupported(f"activation '{kind}' with {len(parameters)} parameters is not known")


def _fused_product(define: Definition) -> onnx.FunctionProto:
    """The product of operands whose last two axes, or first and batch axes, may be transposed, times `alpha`."""
    product = define("MatMul", *(_turned(define, index, side) for index, side in enumerate("AB")))
    alpha = define.node.attributes.get_float("alpha", 1.0)
    return define.finish(product if alpha == 1.0 else define("Mul", product, define.like(alpha)))


def _turned(define: Definition, index: int, side: str) -> str:
    order = [*range(rank(define, index))]
    given = define.node.attributes
    last, batch = (given.get_int(f"{name}{side}", 0) for name in ("trans", "transBatch"))
    if (last or batch) and len(order) == 1:
        raise unsupported(f"operand {index} is a vector, and is transposed")
    if batch:
        order = [*order[1:-1], order[0], order[-1]]
    if last:
        order[-2:] = order[:-3:-1]
    turned = order != sorted(order)
    return define("Transpose", define.inputs[index], perm=order) if turned else define.inputs[index]


def _gelu(define: Definition) -> onnx.FunctionProto:
    """X / 2 * (1 + erf(x / sqrt 2)), of the sum with a bias if there is one."""
    x = _biased(define)
    error = define("Erf", define("Mul", x, define.like(math.sqrt(0.5))))
    return define.finish(_half_of_one_plus(define, x, error))


def _fast_gelu(define: Definition) -> onnx.FunctionProto:
    """X / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))), Hendrycks and Gimpel, arXiv:1606.08415."""
    x = _biased(define)
    square = define("Mul", x, x)
    inner = define("Add", define("Mul", square, define.like(0.044715)), define.like(1))
    scaled = define("Mul", define("Mul", x, define.like(math.sqrt(2 / math.pi))), inner)
    return define.finish(_half_of_one_plus(define, x, define("Tanh", scaled)))


def _half_of_one_plus(define: Definition, x: str, value: str) -> str:
    return define("Mul", define("Mul", x, define.like(0.5)), define("Add", value, define.like(1)))


def _biased(define: Definition) -> str:
    return define("Add", *define.inputs[:2]) if define.has(1) else define.inputs[0]


def _quick_gelu(define: Definition) -> onnx.FunctionProto:
    """X * sigmoid(alpha x)."""
    x, alpha = define.inputs[0], define.node.attributes.get_float("alpha", 1.702)
    return define.finish(define("Mul", x, define("Sigmoid", define("Mul", x, define.like(np.float32(alpha))))))


FUSED: dict[str, Contrib] = {
    "FusedConv": any_shape(_fused_convolution, f"{_CONVOLUTION} activation activation_params", 4),
    "FusedGemm": any_shape(_fused_gemm, f"{_PRODUCT} activation activation_alpha activation_beta activation_gamma", 3),
    "FusedMatMul": any_shape(_fused_product, "alpha transA transB transBatchA transBatchB", 2),
    "Gelu": any_shape(_gelu),
    "BiasGelu": any_shape(_gelu, "", 2),
    "FastGelu": any_shape(_fast_gelu, "", 2),
    "QuickGelu": any_shape(_quick_gelu, "alpha"),
}
