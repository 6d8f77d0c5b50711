"""Arithmetic, comparisons and logic, element by element."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import torch

from graphprune.frontends.torch_operators.values import TYPES, Value, elementwise, is_shape, tensor

Function = Callable[..., Any]


def _divide(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return x / y if x.is_floating_point() or x.is_complex() else torch.div(x, y, rounding_mode="trunc")


def _divide_integers(x: int, y: int) -> int:
    return x // y if (x >= 0) == (y > 0) else -(-x // y)


HUGE_STEP = 2.0**700
"""Three such steps reach from the smallest to the largest double; torch takes quotients up to 1e300."""


def _remainder(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The remainder with the sign of `x`, whose quotient may be huge: torch's own is NaN then.

    Of a float32 it is computed in double precision, of a double from multiples of `y` down, which changes nothing.
    """
    if not x.is_floating_point():
        return torch.fmod(x, y)
    wide, divisor = x.double(), y.double()
    if x.dtype == torch.float64 and not torch.compiler.is_exporting():
        large = divisor * HUGE_STEP
        wide = torch.fmod(torch.fmod(wide, large * HUGE_STEP), large)
    return torch.fmod(wide, divisor).to(x.dtype)


def mod(x: Value, y: Value, *, fmod: int = 0) -> Value:
    """ONNX Mod; the standard gives floats `fmod` only."""
    result: Value = elementwise(operator.mod, _remainder if fmod else torch.remainder)(x, y)
    return result


def power(x: torch.Tensor, y: Value) -> torch.Tensor:
    """ONNX Pow: the result has the base's type."""
    return torch.pow(tensor(x), tensor(y)).to(tensor(x).dtype)


def shift(x: torch.Tensor, y: torch.Tensor, *, direction: str) -> torch.Tensor:
    """ONNX BitShift."""
    wide, by = x.to(torch.int64), y.to(torch.int64)
    return (wide << by if direction == "LEFT" else wide >> by).to(x.dtype)


def variadic(function: Function) -> Function:
    """Return `function` of two values for any number of them."""
    return lambda *values: functools.reduce(function, values)


def mean(*values: torch.Tensor) -> torch.Tensor:
    """ONNX Mean."""
    total: torch.Tensor = functools.reduce(torch.add, values)
    return total / len(values)


def cast(x: Value, *, to: int, saturate: int = 1, round_mode: str = "up") -> Value:
    """ONNX Cast between types that torch computes with."""
    del saturate, round_mode  # of 8-bit floating-point types
    if is_shape(x) and to in {6, 7}:
        return x
    return tensor(x).to(TYPES[to])


def cast_like(x: Value, like: torch.Tensor, *, saturate: int = 1, round_mode: str = "up") -> torch.Tensor:
    """ONNX CastLike."""
    del saturate, round_mode
    return tensor(x).to(tensor(like).dtype)


def bit_cast(x: torch.Tensor, *, to: int) -> torch.Tensor:
    """ONNX BitCast between types of one width."""
    return x.view(TYPES[to])


def is_infinite(x: torch.Tensor, *, detect_negative: int = 1, detect_positive: int = 1) -> torch.Tensor:
    """ONNX IsInf."""
    found = torch.zeros_like(x, dtype=torch.bool)
    if detect_positive:
        found = found | torch.isposinf(x)
    return found | torch.isneginf(x) if detect_negative else found


def clip(x: torch.Tensor, low: Value | None = None, high: Value | None = None) -> torch.Tensor:
    """ONNX Clip; an absent limit is the last finite number."""
    x = tensor(x)
    if low is not None:
        x = torch.maximum(x, tensor(low))
    elif x.is_floating_point():
        x = x.clamp(min=torch.finfo(x.dtype).min)
    if high is not None:
        return torch.minimum(x, tensor(high))
    return x.clamp(max=torch.finfo(x.dtype).max) if x.is_floating_point() else x


def sign(x: torch.Tensor) -> torch.Tensor:
    """ONNX Sign; NaN stays NaN, which is 0 in torch."""
    return torch.where(torch.isnan(x), x, torch.sign(x))


_MAXIMUM: Function = elementwise(max, torch.maximum)
_MINIMUM: Function = elementwise(min, torch.minimum)

TABLE: dict[str, Function] = {
    "Abs": torch.abs,
    "Acos": torch.acos,
    "Acosh": torch.acosh,
    "Add": elementwise(operator.add, torch.add),
    "And": elementwise(lambda x, y: bool(x) and bool(y), torch.logical_and),
    "Asin": torch.asin,
    "Asinh": torch.asinh,
    "Atan": torch.atan,
    "Atanh": torch.atanh,
    "BitCast": bit_cast,
    "BitShift": shift,
    "BitwiseAnd": torch.bitwise_and,
    "BitwiseNot": torch.bitwise_not,
    "BitwiseOr": torch.bitwise_or,
    "BitwiseXor": torch.bitwise_xor,
    "Cast": cast,
    "CastLike": cast_like,
    "Ceil": torch.ceil,
    "Clip": clip,
    "Cos": torch.cos,
    "Cosh": torch.cosh,
    "Div": elementwise(_divide_integers, _divide),
    "Equal": elementwise(operator.eq, torch.eq),
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "Greater": elementwise(operator.gt, torch.gt),
    "GreaterOrEqual": elementwise(operator.ge, torch.ge),
    "IsInf": is_infinite,
    "IsNaN": torch.isnan,
    "Less": elementwise(operator.lt, torch.lt),
    "LessOrEqual": elementwise(operator.le, torch.le),
    "Log": torch.log,
    "Max": variadic(_MAXIMUM),
    "Mean": mean,
    "Min": variadic(_MINIMUM),
    "Mod": mod,
    "Mul": elementwise(operator.mul, torch.mul),
    "Neg": elementwise(operator.neg, torch.neg),
    "Not": elementwise(operator.not_, torch.logical_not),
    "Or": elementwise(lambda x, y: bool(x) or bool(y), torch.logical_or),
    "Pow": power,
    "Reciprocal": torch.reciprocal,
    "Round": torch.round,
    "Sign": sign,
    "Sin": torch.sin,
    "Sinh": torch.sinh,
    "Sqrt": torch.sqrt,
    "Sub": elementwise(operator.sub, torch.sub),
    "Sum": variadic(torch.add),
    "Tan": torch.tan,
    "Where": elementwise(lambda chosen, x, y: x if chosen else y, lambda c, x, y: torch.where(c.bool(), x, y)),
    "Xor": elementwise(lambda x, y: bool(x) != bool(y), torch.logical_xor),
}
