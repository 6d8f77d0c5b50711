"""The softly masked weight as one differentiable function that keeps nothing of the mask for the backward pass."""

from __future__ import annotations

from typing import Any

import torch

from graphprune.masks.torch_tensors import chunks, flat, is_transformed, wide

_STEEPEST = 1e35
"""Of 1 / tau: among zeros, where tau is next to nothing, squares times this stay finite."""


class MaskedWeight(torch.autograd.Function):
    """`m * w` with `m = sigmoid((w² - t²) / tau)`, t and tau being constants: d/dw = m + 2 w² / tau * m * (1 - m).

    `squared` is t², like tau of no dimensions or of the weight's shape. Where it is 0 in the latter, the mask is 1. One
    threshold for all elements is applied chunk by chunk, in the order of memory, so that temporaries stay in cache.
    """

    @staticmethod
    def forward(ctx: Any, weight: torch.Tensor, squared: torch.Tensor, tau: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
        """Return the masked weight, of the weight's type and memory format."""
        ctx.save_for_backward(weight, squared, tau)
        if not _in_chunks(weight, squared):
            return (_soft(wide(weight), squared, tau) * weight).to(weight.dtype)
        result = torch.empty_like(weight)
        scale, offset = _line(squared, tau)
        for part, target in zip(chunks(flat(weight)), chunks(flat(result)), strict=True):
            values = wide(part)
            torch.mul(torch.addcmul(offset, values, values, value=scale).sigmoid_(), values, out=target)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:  # noqa: ANN401
        """Return the gradient of the weight; the mask is computed again."""
        weight, squared, tau = ctx.saved_tensors
        (gradient,) = gradients
        if not _in_chunks(weight, squared):
            return (_slope(wide(weight), squared, tau) * gradient).to(weight.dtype), None, None
        result = torch.empty_like(weight)
        if gradient.stride() != weight.stride():
            gradient = torch.empty_like(weight).copy_(gradient)
        scale, offset = _line(squared, tau)
        parts = (chunks(flat(tensor)) for tensor in (weight, gradient, result))
        for part, incoming, target in zip(*parts, strict=True):
            torch.mul(_chunk_slope(wide(part), scale, offset), incoming, out=target)
        return result, None, None


def masked_weight(weight: torch.Tensor, squared: torch.Tensor, tau: torch.Tensor) -> torch.Tensor:
    """Return what `MaskedWeight` gives, also under `torch.func`, which takes no such functions."""
    if is_transformed():
        return (_soft(wide(weight), squared, tau) * weight).to(weight.dtype)
    masked: torch.Tensor = MaskedWeight.apply(weight, squared, tau)  # type: ignore[no-untyped-call]
    return masked


def _line(squared: torch.Tensor, tau: torch.Tensor) -> tuple[float, torch.Tensor]:
    """The mask is the sigmoid of `scale * w² + offset`, in one pass over the elements."""
    return min(1 / tau.item(), _STEEPEST), -squared / tau


def _chunk_slope(values: torch.Tensor, scale: float, offset: torch.Tensor) -> torch.Tensor:
    """The derivative of the masked weight, in few passes."""
    line = torch.addcmul(offset, values, values, value=scale)
    mask = line.sigmoid()
    narrow = torch.ops.aten.sigmoid_backward(line.sub_(offset), mask)  # w² / tau * m * (1 - m)
    return mask.add_(narrow, alpha=2)


def _in_chunks(weight: torch.Tensor, squared: torch.Tensor) -> bool:
    return weight.device.type == "cpu" and squared.dim() == 0 and not torch.compiler.is_compiling()


def _soft(weight: torch.Tensor, squared: torch.Tensor, tau: torch.Tensor) -> torch.Tensor:
    mask = torch.sigmoid((weight.square() - squared) / tau)
    return torch.where(squared == 0, 1, mask) if squared.dim() else mask


def _slope(weight: torch.Tensor, squared: torch.Tensor, tau: torch.Tensor) -> torch.Tensor:
    mask = torch.sigmoid((weight.square() - squared) / tau)
    slope = mask + 2 * weight.square() / tau * mask * (1 - mask)
    return torch.where(squared == 0, 1, slope) if squared.dim() else slope
