"""Helpers for torch tensors: a type wide enough to square, flat in memory order, in chunks that fit a cache."""

from __future__ import annotations

import torch

_CHUNK = 1 << 17  # elements whose temporaries stay in a core's cache


def wide(tensor: torch.Tensor) -> torch.Tensor:
    """Return the tensor in the type that masks are computed in: float32, or float64 if it is that."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def flat(tensor: torch.Tensor) -> torch.Tensor:
    """Return the elements in one dimension, in the order of memory where they lie densely: without a copy then."""
    strides = tensor.stride()
    order = sorted(range(tensor.dim()), key=lambda axis: -strides[axis])
    return tensor.permute(order).reshape(-1)


def chunks(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return views of a flat tensor that a core works through one by one; on other devices, one view."""
    return torch.split(tensor, _CHUNK) if tensor.device.type == "cpu" else (tensor,)


def is_transformed() -> bool:
    """Return whether `torch.func` is at work (`grad`, `vmap`), where tensors have no elements to read."""
    active: bool = torch._C._are_functorch_transforms_active()  # noqa: SLF001 - torch has no other
    return active
