"""Element-wise activation and elementary functions."""

from __future__ import annotations

import onnx_ir as ir
from tvm import tirx

from graphprune.backends.tvm.kernels import arcs, math, trigonometry
from graphprune.backends.tvm.kernels.builder import Expr, bind
from graphprune.backends.tvm.kernels.opaque import nearest_integer
from graphprune.backends.tvm.operators.scalar_base import (
    Arguments,
    Scalar,
    binary,
    float_attribute,
    is_float,
    like,
    unary,
)

SELU_ALPHA, SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875
"""The defaults of the operator, as float32 holds them."""


def relu(x: Expr) -> Expr:
    """The larger of `x` and 0; NaN stays NaN."""
    return tirx.Select(x < like(x, 0), like(x, 0), x)


def _slope(x: Expr, slope: Expr) -> Expr:
    return tirx.Select(x < like(x, 0), x * slope, x)


def _gelu(node: ir.Node, a: Arguments) -> Expr:
    return math.gelu_tanh(a[0]) if node.attributes.get_string("approximate", "none") == "tanh" else math.gelu(a[0])


def _hard_sigmoid(x: Expr, alpha: float, beta: float) -> Expr:
    linear = bind(x * like(x, alpha) + like(x, beta))
    return tirx.Select(linear < like(x, 0), like(x, 0), tirx.Select(linear > like(x, 1), like(x, 1), linear))


def _expm1_below_zero(x: Expr) -> Expr:
    """e^x - 1 for negative `x`; what it gives elsewhere is finite and not to be used."""
    return math.exp(tirx.Select(x > like(x, 0), like(x, 0), x)) - like(x, 1)


def _elu(x: Expr, alpha: float) -> Expr:
    return tirx.Select(x < like(x, 0), like(x, alpha) * _expm1_below_zero(x), x)


def _selu(node: ir.Node, a: Arguments) -> Expr:
    alpha, gamma = float_attribute(node, "alpha", SELU_ALPHA), float_attribute(node, "gamma", SELU_GAMMA)
    return like(a[0], gamma) * _elu(a[0], alpha)


def _celu(node: ir.Node, a: Arguments) -> Expr:
    x, alpha = a[0], float_attribute(node, "alpha", 1.0)
    power = x / like(x, alpha)
    less = _expm1_below_zero(power) if alpha > 0 else math.exp(power) - like(x, 1)
    return tirx.Select(x < like(x, 0), like(x, alpha) * less, x)


def _thresholded_relu(node: ir.Node, a: Arguments) -> Expr:
    x, alpha = a[0], float_attribute(node, "alpha", 1.0)
    return tirx.Select(x > like(x, alpha), x, like(x, 0))  # 0 for NaN, as ONNX Runtime has it


def _shrink(node: ir.Node, a: Arguments) -> Expr:
    x, bias, limit = a[0], float_attribute(node, "bias", 0.0), float_attribute(node, "lambd", 0.5)
    if not is_float(x):
        wide = x.astype("float64")
        return _shrunk(wide, bias, limit).astype(math.dtype_of(x))
    return _shrunk(x, bias, limit)


def _shrunk(x: Expr, bias: float, limit: float) -> Expr:
    above = tirx.Select(x > like(x, limit), x - like(x, bias), like(x, 0))
    return tirx.Select(x < like(x, -limit), x + like(x, bias), above)


def _swish(node: ir.Node, a: Arguments) -> Expr:
    return a[0] * math.sigmoid(a[0] * like(a[0], float_attribute(node, "alpha", 1.0)))


def _sinh(x: Expr) -> Expr:
    """(e^x - e^-x) / 2 in float64, where the difference keeps its digits near 0; odd series below."""
    wide = bind(x.astype("float64"))
    square = bind(wide * wide)
    series = wide * (like(wide, 1) + square * (like(wide, 1 / 6) + square * like(wide, 1 / 120)))
    grown = bind(tirx.exp(wide))
    outer = (grown - like(wide, 1) / grown) * like(wide, 0.5)
    return tirx.Select(square < like(wide, 1e-4), series, outer).astype(math.dtype_of(x))


def _cosh(x: Expr) -> Expr:
    """(e^x + e^-x) / 2 in float64, so that float32 overflows only where the result does."""
    grown = bind(tirx.exp(x.astype("float64")))
    return ((grown + like(grown, 1) / grown) * like(grown, 0.5)).astype(math.dtype_of(x))


def _batch_normalization(node: ir.Node, a: Arguments) -> Expr:
    x, scale, shift, mean, variance = a[:5]
    factor = scale / tirx.sqrt(variance + like(variance, float_attribute(node, "epsilon", 1e-5)))
    return (x - mean) * factor + shift


ACTIVATIONS: dict[str, Scalar] = {
    "Relu": unary(relu),
    "LeakyRelu": lambda node, a: _slope(a[0], like(a[0], float_attribute(node, "alpha", 0.01))),
    "PRelu": binary(_slope),
    "Gelu": _gelu,
    "Sigmoid": unary(math.sigmoid),
    "HardSigmoid": lambda node, a: _hard_sigmoid(
        a[0], float_attribute(node, "alpha", 0.2), float_attribute(node, "beta", 0.5)
    ),
    "HardSwish": lambda _node, a: a[0] * _hard_sigmoid(a[0], 1 / 6, 0.5),
    "Swish": _swish,
    "Mish": unary(lambda x: x * math.tanh(math.softplus(x))),
    "Elu": lambda node, a: _elu(a[0], float_attribute(node, "alpha", 1.0)),
    "Selu": _selu,
    "Celu": _celu,
    "ThresholdedRelu": _thresholded_relu,
    "Shrink": _shrink,
    "Softplus": unary(math.softplus),
    "Softsign": unary(lambda x: x / (like(x, 1) + tirx.abs(x))),
    "BatchNormalization": _batch_normalization,
    "Erf": unary(math.erf),
    "Exp": unary(math.exp),
    "Log": unary(math.log),
    "Tanh": unary(math.tanh),
    "Sqrt": unary(tirx.sqrt),
    "Reciprocal": unary(lambda x: like(x, 1) / x),
    "Floor": unary(tirx.floor),
    "Ceil": unary(tirx.ceil),
    "Round": unary(nearest_integer),
    "Sin": unary(trigonometry.sin),
    "Cos": unary(trigonometry.cos),
    "Tan": unary(tirx.tan),
    "Asin": unary(arcs.asin),
    "Acos": unary(arcs.acos),
    "Atan": unary(arcs.atan),
    "Sinh": unary(_sinh),
    "Cosh": unary(_cosh),
}
