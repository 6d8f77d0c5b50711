"""Pooling."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from graphprune.frontends.torch_operators.values import Value, integers
from graphprune.frontends.torch_operators.windows import begins_and_ends, padded_with

_MAXIMUM = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}


def max_pool(  # noqa: PLR0913 - ONNX's attributes
    x: torch.Tensor,
    *,
    kernel_shape: Sequence[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    storage_order: int = 0,
    strides: Sequence[int] | None = None,
) -> torch.Tensor:
    """ONNX MaxPool with one output."""
    del storage_order  # of the second output
    axes = len(kernel_shape)
    steps, spread = list(strides or [1] * axes), list(dilations or [1] * axes)
    begins, ends = begins_and_ends(x, kernel_shape, steps, spread, auto_pad, pads)
    smallest = -torch.inf if x.is_floating_point() else torch.iinfo(x.dtype).min
    ends = _made_whole(x, kernel_shape, steps, spread, begins, ends, ceil_mode)
    padded = padded_with(x, begins, ends, smallest)
    if not x.is_floating_point():
        windows = padded
        for axis, (size, step, dilation) in enumerate(zip(kernel_shape, steps, spread, strict=True), start=2):
            windows = windows.unfold(axis, (size - 1) * dilation + 1, step)[..., ::dilation].amax(-1)
        return windows
    return _MAXIMUM[axes](padded, list(kernel_shape), steps, 0, spread)


def max_pool_with_indices(  # noqa: PLR0913 - ONNX's attributes
    x: torch.Tensor,
    *,
    kernel_shape: Sequence[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    storage_order: int = 0,
    strides: Sequence[int] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """ONNX MaxPool with the place of each maximum in the flat input; `storage_order` 1 counts columns first."""
    axes = len(kernel_shape)
    steps, spread = list(strides or [1] * axes), list(dilations or [1] * axes)
    begins, ends = begins_and_ends(x, kernel_shape, steps, spread, auto_pad, pads)
    ends = _made_whole(x, kernel_shape, steps, spread, begins, ends, ceil_mode)
    padded = padded_with(x, begins, ends, -torch.inf)
    maxima, places = _MAXIMUM[axes](padded, list(kernel_shape), steps, 0, spread, return_indices=True)
    flat, stride = torch.zeros_like(places), 1
    order = range(axes) if storage_order else reversed(range(axes))
    columns = dict(zip(reversed(range(axes)), _unravelled(places, padded.shape[2:]), strict=True))
    for axis in order:
        flat = flat + (columns[axis] - begins[axis]) * stride
        stride = stride * x.shape[2 + axis]
    planes = torch.arange(x.shape[0] * x.shape[1], device=x.device).reshape(*x.shape[:2], *[1] * axes)
    return maxima, flat + planes * stride


def _unravelled(places: torch.Tensor, extents: Sequence[int]) -> list[torch.Tensor]:
    """The index of each axis in a flat index, the last axis first."""
    columns = []
    for extent in reversed(extents):
        columns.append(places % extent)
        places = places // extent
    return columns


def max_unpool(
    x: torch.Tensor,
    indices: torch.Tensor,
    output_shape: Value | None = None,
    *,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> torch.Tensor:
    """ONNX MaxUnpool: each value goes to its place in the flat result, which `output_shape` pads at the end."""
    axes = len(kernel_shape)
    steps, margins = strides or [1] * axes, pads or [0] * 2 * axes
    extents = [
        (n - 1) * step + size - margins[i] - margins[i + axes]
        for i, (n, step, size) in enumerate(zip(x.shape[2:], steps, kernel_shape, strict=True))
    ]
    shape = (*x.shape[:2], *extents)
    whole = x.new_zeros(math.prod(shape)).scatter(0, indices.reshape(-1), x.reshape(-1)).reshape(shape)
    wanted = extents if output_shape is None else integers(output_shape)[2:]
    return padded_with(whole, [0] * axes, [want - have for want, have in zip(wanted, extents, strict=True)], 0)


def _made_whole(
    x: torch.Tensor,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    begins: Sequence[int],
    ends: Sequence[int],
    ceil_mode: int,
) -> list[int]:
    """The end padding with which the last window is whole; it may begin in the input or its first padding.

    Without `ceil_mode` that is a window that there is one of, since the length is rounded towards zero, and not down.
    """
    wide = []
    for extent, size, stride, dilation, begin, end in zip(
        x.shape[2:], kernel, strides, dilations, begins, ends, strict=True
    ):
        reach, padded = (size - 1) * dilation + 1, extent + begin + end
        count = -(-(padded - reach) // stride) + 1
        if not ceil_mode:
            count = 1 if -stride < padded - reach < 0 else 0
        elif (count - 1) * stride >= extent + begin:
            count -= 1
        wide.append(max(end, (count - 1) * stride + reach - extent - begin) if count else end)
    return wide


def average_pool(  # noqa: PLR0913 - ONNX's attributes
    x: torch.Tensor,
    *,
    kernel_shape: Sequence[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> torch.Tensor:
    """ONNX AveragePool: sums of windows over how many elements of them count."""
    axes = len(kernel_shape)
    steps, spread = list(strides or [1] * axes), list(dilations or [1] * axes)
    begins, ends = begins_and_ends(x, kernel_shape, steps, spread, auto_pad, pads)
    wide = _made_whole(x, kernel_shape, steps, spread, begins, ends, ceil_mode)
    ones = torch.ones_like(x[:1, :1])
    counted = padded_with(ones, begins, ends, 1) if count_include_pad else padded_with(ones, begins, ends, 0)
    rest = [more - end for more, end in zip(wide, ends, strict=True)]
    sums, counts = padded_with(x, begins, wide, 0), padded_with(counted, [0] * axes, rest, 0)
    for axis, (size, step, dilation) in enumerate(zip(kernel_shape, steps, spread, strict=True), start=2):
        reach = (size - 1) * dilation + 1
        sums = sums.unfold(axis, reach, step)[..., ::dilation].sum(-1)
        counts = counts.unfold(axis, reach, step)[..., ::dilation].sum(-1)
    return sums / counts.clamp(min=1)  # a window of padding alone has the mean 0


def lp_pool(  # noqa: PLR0913 - ONNX's attributes
    x: torch.Tensor,
    *,
    kernel_shape: Sequence[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sequence[int] | None = None,
    p: int = 2,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> torch.Tensor:
    """ONNX LpPool; powers of halves are computed in float32."""
    wide_x = x.to(torch.promote_types(x.dtype, torch.float32))
    axes = len(kernel_shape)
    steps, spread = list(strides or [1] * axes), list(dilations or [1] * axes)
    begins, ends = begins_and_ends(x, kernel_shape, steps, spread, auto_pad, pads)
    wide = _made_whole(x, kernel_shape, steps, spread, begins, ends, ceil_mode)
    sums = padded_with(wide_x, begins, wide, 0).abs() ** p
    for axis, (size, step, dilation) in enumerate(zip(kernel_shape, steps, spread, strict=True), start=2):
        sums = sums.unfold(axis, (size - 1) * dilation + 1, step)[..., ::dilation].sum(-1)
    norms: torch.Tensor = sums ** (1 / p)
    return norms.to(x.dtype)


def _spatial(x: torch.Tensor) -> tuple[int, ...]:
    return tuple(range(2, x.dim()))


def global_lp_pool(x: torch.Tensor, *, p: int = 2) -> torch.Tensor:
    """ONNX GlobalLpPool."""
    norm: torch.Tensor = torch.linalg.vector_norm(x, p, dim=_spatial(x), keepdim=True)
    return norm


TABLE: dict[str, Callable[..., Any]] = {
    "AveragePool": average_pool,
    "GlobalAveragePool": lambda x: x.mean(_spatial(x), keepdim=True),
    "GlobalLpPool": global_lp_pool,
    "GlobalMaxPool": lambda x: x.amax(_spatial(x), keepdim=True),
    "LpPool": lp_pool,
    "MaxPool": max_pool,
    "MaxUnpool": max_unpool,
}

ALL_OUTPUTS: dict[str, Callable[..., Any]] = {"MaxPool": max_pool_with_indices}
"""Functions for nodes whose further outputs are used."""
