"""Element-wise operators as functions of one element of each input: what may be fused behind any kernel."""

from __future__ import annotations

import math as pymath
from collections.abc import Callable, Sequence

import onnx_ir as ir
from tvm import tirx

from graphprune.backends.tvm.kernels import math
from graphprune.backends.tvm.kernels.builder import Expr, constant

Arguments = Sequence[Expr]
Scalar = Callable[[ir.Node, Arguments], Expr]

CHANNEL_OPERANDS: dict[str, tuple[int, ...]] = {"BatchNormalization": (1, 2, 3, 4)}
"""Inputs that hold one element a channel (axis 1) instead of broadcasting by NumPy's rules."""


def _like(x: Expr, value: float) -> Expr:
    return constant(value, math.dtype_of(x))


def _is_float(x: Expr) -> bool:
    return math.dtype_of(x).startswith(("float", "bfloat"))


def _float(node: ir.Node, name: str, default: float) -> float:
    return float(node.attributes.get_float(name, default))


def _unary(function: Callable[[Expr], Expr]) -> Scalar:
    return lambda _node, a: function(a[0])


def _binary(function: Callable[[Expr, Expr], Expr]) -> Scalar:
    return lambda _node, a: function(a[0], a[1])


def _fold(function: Callable[[Expr, Expr], Expr]) -> Scalar:
    def variadic(_node: ir.Node, a: Arguments) -> Expr:
        result = a[0]
        for x in a[1:]:
            result = function(result, x)
        return result

    return variadic


def maximum(a: Expr, b: Expr) -> Expr:
    """The larger one; NaN if either is NaN, as ONNX Runtime does."""
    if not _is_float(a):
        return tirx.max(a, b)
    return tirx.Select(tirx.any(a > b, tirx.isnan(a)), a, b)


def minimum(a: Expr, b: Expr) -> Expr:
    """The smaller one; NaN if either is NaN."""
    if not _is_float(a):
        return tirx.min(a, b)
    return tirx.Select(tirx.any(a < b, tirx.isnan(a)), a, b)


def _mean(node: ir.Node, a: Arguments) -> Expr:
    return _fold(lambda x, y: x + y)(node, a) / _like(a[0], float(len(a)))


def _relu(x: Expr) -> Expr:
    return tirx.Select(x < _like(x, 0), _like(x, 0), x)


def _clip(_node: ir.Node, a: Arguments) -> Expr:
    result = a[0]
    if len(a) > 1 and a[1] is not None:
        result = tirx.Select(result < a[1], a[1], result)
    if len(a) > 2 and a[2] is not None:
        result = tirx.Select(result > a[2], a[2], result)
    return result


def _leaky_relu(node: ir.Node, a: Arguments) -> Expr:
    return tirx.Select(a[0] < _like(a[0], 0), a[0] * _like(a[0], _float(node, "alpha", 0.01)), a[0])


def _gelu(node: ir.Node, a: Arguments) -> Expr:
    x = a[0]
    if node.attributes.get_string("approximate", "none") == "tanh":
        inner = _like(x, pymath.sqrt(2 / pymath.pi)) * (x + _like(x, 0.044715) * x * x * x)
        return _like(x, 0.5) * x * (_like(x, 1) + math.tanh(inner))
    return _like(x, 0.5) * x * (_like(x, 1) + math.erf(x * _like(x, pymath.sqrt(0.5))))


def _hard_sigmoid(x: Expr, alpha: float, beta: float) -> Expr:
    linear = x * _like(x, alpha) + _like(x, beta)
    return tirx.Select(linear < _like(x, 0), _like(x, 0), tirx.Select(linear > _like(x, 1), _like(x, 1), linear))


def _batch_normalization(node: ir.Node, a: Arguments) -> Expr:
    x, scale, shift, mean, variance = a[:5]
    factor = scale / tirx.sqrt(variance + _like(x, _float(node, "epsilon", 1e-5)))
    return (x - mean) * factor + shift


def _cast(node: ir.Node, a: Arguments) -> Expr:
    target = node.outputs[0].dtype
    assert target is not None
    name = "bool" if target == ir.DataType.BOOL else str(target.numpy())
    return a[0] != _like(a[0], 0) if name == "bool" else a[0].astype(name)


def _where(_node: ir.Node, a: Arguments) -> Expr:
    return tirx.Select(a[0], a[1], a[2])


def _divide(a: Expr, b: Expr) -> Expr:
    return a / b if _is_float(a) else tirx.truncdiv(a, b)


SCALAR: dict[str, Scalar] = {
    "Add": _binary(lambda a, b: a + b),
    "Sub": _binary(lambda a, b: a - b),
    "Mul": _binary(lambda a, b: a * b),
    "Div": _binary(_divide),
    "Sum": _fold(lambda a, b: a + b),
    "Max": _fold(maximum),
    "Min": _fold(minimum),
    "Mean": _mean,
    "Relu": _unary(_relu),
    "LeakyRelu": _leaky_relu,
    "PRelu": _binary(lambda x, slope: tirx.Select(x < _like(x, 0), x * slope, x)),
    "Clip": _clip,
    "Gelu": _gelu,
    "Erf": _unary(math.erf),
    "Exp": _unary(math.exp),
    "Log": _unary(math.log),
    "Tanh": _unary(math.tanh),
    "Sigmoid": _unary(math.sigmoid),
    "Sqrt": _unary(tirx.sqrt),
    "Reciprocal": _unary(lambda x: _like(x, 1) / x),
    "Neg": _unary(lambda x: _like(x, 0) - x if not _is_float(x) else -x),
    "Abs": _unary(tirx.abs),
    "Swish": lambda node, a: a[0] * math.sigmoid(a[0] * _like(a[0], _float(node, "alpha", 1.0))),
    "HardSigmoid": lambda node, a: _hard_sigmoid(a[0], _float(node, "alpha", 0.2), _float(node, "beta", 0.5)),
    "HardSwish": lambda _node, a: a[0] * _hard_sigmoid(a[0], 1 / 6, 0.5),
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Where": _where,
    "Equal": _binary(lambda a, b: a == b),
    "Greater": _binary(lambda a, b: a > b),
    "GreaterOrEqual": _binary(lambda a, b: a >= b),
    "Less": _binary(lambda a, b: a < b),
    "LessOrEqual": _binary(lambda a, b: a <= b),
    "And": _binary(tirx.all),
    "Or": _binary(tirx.any),
    "Not": _unary(tirx.Not),
}
