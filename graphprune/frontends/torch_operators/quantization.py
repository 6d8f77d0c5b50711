"""Quantisation of integers of eight and sixteen bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from graphprune.frontends.torch_operators.values import TYPES


def _along(values: torch.Tensor, x: torch.Tensor, axis: int, block_size: int) -> torch.Tensor:
    """Scales or zero points, shaped to meet `x`: one in all, one an index of `axis`, or one a block of it."""
    if values.numel() == 1 and values.dim() <= 1:
        return values.reshape(())
    if block_size:
        return values.repeat_interleave(block_size, axis).narrow(axis, 0, x.shape[axis])
    shape = [1] * x.dim()
    shape[axis] = -1
    return values.reshape(shape)


def quantize(  # noqa: PLR0913 - ONNX's attributes
    x: torch.Tensor,
    scale: torch.Tensor,
    zero_point: torch.Tensor | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
    saturate: int = 1,
) -> torch.Tensor:
    """ONNX QuantizeLinear, half to even."""
    del precision, saturate
    kind = zero_point.dtype if zero_point is not None else TYPES[output_dtype or 2]
    levels = torch.round(x.float() / _along(scale.float(), x, axis, block_size))
    if zero_point is not None:
        levels = levels + _along(zero_point.float(), x, axis, block_size)
    limits = torch.iinfo(kind)
    return levels.clamp(limits.min, limits.max).to(torch.int32).to(kind)


def dequantize(
    x: torch.Tensor,
    scale: torch.Tensor,
    zero_point: torch.Tensor | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
) -> torch.Tensor:
    """ONNX DequantizeLinear; computed in float32, as levels of 16 bits are beyond what a half holds."""
    levels = x.to(torch.int32)
    if zero_point is not None:
        levels = levels - _along(zero_point.to(torch.int32), x, axis, block_size)
    values = levels.float() * _along(scale.float(), x, axis, block_size)
    return values.to(TYPES[output_dtype] if output_dtype else scale.dtype)


def dynamic_quantize(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """ONNX DynamicQuantizeLinear; the scale of zeros is 1, as in ONNX Runtime."""
    low, high = x.min().clamp(max=0), x.max().clamp(min=0)
    scale = torch.where(high > low, (high - low) / 255, torch.ones_like(high))
    zero_point = torch.round((-low / scale).clamp(0, 255)).to(torch.uint8)
    return quantize(x, scale, zero_point), scale, zero_point


TABLE: dict[str, Callable[..., Any]] = {
    "DequantizeLinear": dequantize,
    "DynamicQuantizeLinear": dynamic_quantize,
    "QuantizeLinear": quantize,
}
