"""Products of quantized integers, computed in float64, which holds their sums exactly."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch

from graphprune.frontends.torch_operators.quantization import quantize
from graphprune.frontends.torch_operators.windows import convolution


def _centred(x: torch.Tensor, zero_point: torch.Tensor | None, shape: list[int]) -> torch.Tensor:
    """`x` less its zero point, which is one number or comes in a shape that `shape` makes broadcast."""
    wide = x.double()
    if zero_point is None:
        return wide
    point = zero_point.double()
    return wide - (point.reshape(()) if point.numel() == 1 else point.reshape(shape) if point.dim() == 1 else point)


def _rows(x: torch.Tensor) -> list[int]:
    return [-1, 1] if x.dim() > 1 else [-1]


def _outputs(weight: torch.Tensor) -> list[int]:
    return [-1, *[1] * (weight.dim() - 1)]


def matmul_integer(
    a: torch.Tensor, b: torch.Tensor, a_zero: torch.Tensor | None = None, b_zero: torch.Tensor | None = None
) -> torch.Tensor:
    """ONNX MatMulInteger: zero points are one number, or one a row of `a` and a column of `b`."""
    return (_centred(a, a_zero, _rows(a)) @ _centred(b, b_zero, [-1])).to(torch.int32)


def _as_convolution(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give `function` the attributes of Conv, which it hands on."""
    own = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
    taken = [p for p in inspect.signature(convolution).parameters.values() if p.kind is p.KEYWORD_ONLY]
    function.__signature__ = inspect.Signature([*own, *taken])  # type: ignore[attr-defined] # as PEP 362 allows
    return function


@_as_convolution
def conv_integer(
    x: torch.Tensor,
    w: torch.Tensor,
    x_zero: torch.Tensor | None = None,
    w_zero: torch.Tensor | None = None,
    **attributes: Any,  # noqa: ANN401 - those of Conv
) -> torch.Tensor:
    """ONNX ConvInteger."""
    return convolution(_centred(x, x_zero, [-1]), _centred(w, w_zero, _outputs(w)), **attributes).to(torch.int32)


def _requantized(
    total: torch.Tensor, factor: torch.Tensor, y_scale: torch.Tensor, y_zero: torch.Tensor
) -> torch.Tensor:
    return quantize(total.float() * factor, y_scale.float().reshape(()), y_zero.reshape(()))


def quantized_matmul(  # noqa: PLR0913, PLR0917 - ONNX's inputs
    a: torch.Tensor,
    a_scale: torch.Tensor,
    a_zero: torch.Tensor,
    b: torch.Tensor,
    b_scale: torch.Tensor,
    b_zero: torch.Tensor,
    y_scale: torch.Tensor,
    y_zero: torch.Tensor,
) -> torch.Tensor:
    """ONNX QLinearMatMul with one scale each."""
    total = matmul_integer(a, b, a_zero, b_zero)
    return _requantized(total, (a_scale.float() * b_scale.float()).reshape(()), y_scale, y_zero)


@_as_convolution
def quantized_conv(  # noqa: PLR0913, PLR0917 - ONNX's inputs
    x: torch.Tensor,
    x_scale: torch.Tensor,
    x_zero: torch.Tensor,
    w: torch.Tensor,
    w_scale: torch.Tensor,
    w_zero: torch.Tensor,
    y_scale: torch.Tensor,
    y_zero: torch.Tensor,
    b: torch.Tensor | None = None,
    **attributes: Any,  # noqa: ANN401 - those of Conv
) -> torch.Tensor:
    """ONNX QLinearConv; the weight has one scale, or one an output channel."""
    channels = [-1, *[1] * (w.dim() - 2)]
    total = conv_integer(x, w, x_zero, w_zero, **attributes)
    total = total if b is None else total + b.reshape(channels)
    factor = x_scale.float().reshape(()) * w_scale.float().reshape(channels)
    return _requantized(total, factor, y_scale, y_zero)


TABLE: dict[str, Callable[..., Any]] = {
    "ConvInteger": conv_integer,
    "MatMulInteger": matmul_integer,
    "QLinearConv": quantized_conv,
    "QLinearMatMul": quantized_matmul,
}
