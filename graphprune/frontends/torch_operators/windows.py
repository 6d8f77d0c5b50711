"""Convolutions and pooling."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSED = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}
_MAXIMUM = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}


def _begins_and_ends(
    x: torch.Tensor,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    auto_pad: str,
    pads: Sequence[int] | None,
) -> tuple[list[int], list[int]]:
    """The padding of each spatial axis before and after."""
    axes = len(kernel)
    if auto_pad == "NOTSET":
        given = list(pads or [0] * 2 * axes)
        return given[:axes], given[axes:]
    if auto_pad == "VALID":
        return [0] * axes, [0] * axes
    totals = [
        max(0, (-(-extent // stride) - 1) * stride + (size - 1) * dilation + 1 - extent)
        for extent, size, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True)
    ]
    smaller, larger = [total // 2 for total in totals], [total - total // 2 for total in totals]
    return (smaller, larger) if auto_pad == "SAME_UPPER" else (larger, smaller)


def _padded(x: torch.Tensor, begins: Sequence[int], ends: Sequence[int], value: float) -> torch.Tensor:
    if not any((*begins, *ends)):
        return x
    flat = list(itertools.chain.from_iterable(reversed(list(zip(begins, ends, strict=True)))))
    return functional.pad(x, flat, value=value)


def convolution(  # noqa: PLR0913 - ONNX's attributes
    x: torch.Tensor,
    w: torch.Tensor,
    b: torch.Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> torch.Tensor:
    """ONNX Conv of one to three spatial axes."""
    del kernel_shape  # the weight has it
    kernel = w.shape[2:]
    steps, spread = list(strides or [1] * len(kernel)), list(dilations or [1] * len(kernel))
    begins, ends = _begins_and_ends(x, kernel, steps, spread, auto_pad, pads)
    function = _CONVOLUTIONS[len(kernel)]
    if begins == ends:
        return function(x, w, b, steps, begins, spread, group)
    return function(_padded(x, begins, ends, 0), w, b, steps, 0, spread, group)


def transposed_convolution(  # noqa: PLR0913 - ONNX's attributes
    x: torch.Tensor,
    w: torch.Tensor,
    b: torch.Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    output_padding: Sequence[int] | None = None,
    output_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> torch.Tensor:
    """ONNX ConvTranspose: the whole result, cropped or filled up to the padded one."""
    del kernel_shape  # the weight has it
    kernel = w.shape[2:]
    axes = len(kernel)
    steps, spread, extra = (
        list(strides or [1] * axes),
        list(dilations or [1] * axes),
        list(output_padding or [0] * axes),
    )
    whole = _TRANSPOSED[axes](x, w, b, steps, 0, 0, group, spread)
    full = [
        (extent - 1) * step + (size - 1) * dilation + 1 + more
        for extent, step, size, dilation, more in zip(x.shape[2:], steps, kernel, spread, extra, strict=True)
    ]
    if output_shape is not None or auto_pad.startswith("SAME"):
        wanted = list(output_shape or [extent * step for extent, step in zip(x.shape[2:], steps, strict=True)])
        totals = [have - want for have, want in zip(full, wanted[-axes:], strict=True)]
        smaller, larger = [total // 2 for total in totals], [total - total // 2 for total in totals]
        begins, ends = (smaller, larger) if auto_pad == "SAME_UPPER" else (larger, smaller)
    else:
        begins, ends = _begins_and_ends(x, kernel, steps, spread, auto_pad, pads)
    after = [more - end for more, end in zip(extra, ends, strict=True)]
    filled = _padded(whole, [-begin for begin in begins], after, 0)
    if b is not None and any(more > 0 for more in after):  # what was filled up holds the bias as well
        return _padded(
            _TRANSPOSED[axes](x, w, None, steps, 0, 0, group, spread), [-n for n in begins], after, 0
        ) + b.view(1, -1, *[1] * axes)
    return filled


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
    begins, ends = _begins_and_ends(x, kernel_shape, steps, spread, auto_pad, pads)
    smallest = -torch.inf if x.is_floating_point() else torch.iinfo(x.dtype).min
    ends = _rounded_up(x, kernel_shape, steps, spread, begins, ends) if ceil_mode else ends
    padded = _padded(x, begins, ends, smallest)
    if not x.is_floating_point():
        windows = padded
        for axis, (size, step, dilation) in enumerate(zip(kernel_shape, steps, spread, strict=True), start=2):
            windows = windows.unfold(axis, (size - 1) * dilation + 1, step)[..., ::dilation].amax(-1)
        return windows
    return _MAXIMUM[axes](padded, list(kernel_shape), steps, 0, spread)


def _rounded_up(
    x: torch.Tensor,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    begins: Sequence[int],
    ends: Sequence[int],
) -> list[int]:
    """The end padding with which the last window, which may begin in the input or its first padding, is whole."""
    wide = []
    for extent, size, stride, dilation, begin, end in zip(
        x.shape[2:], kernel, strides, dilations, begins, ends, strict=True
    ):
        reach = (size - 1) * dilation + 1
        count = -(-(extent + begin + end - reach) // stride) + 1
        if (count - 1) * stride >= extent + begin:
            count -= 1
        wide.append(max(end, (count - 1) * stride + reach - extent - begin))
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
    begins, ends = _begins_and_ends(x, kernel_shape, steps, spread, auto_pad, pads)
    wide = _rounded_up(x, kernel_shape, steps, spread, begins, ends) if ceil_mode else ends
    ones = torch.ones_like(x[:1, :1])
    counted = _padded(ones, begins, ends, 1) if count_include_pad else _padded(ones, begins, ends, 0)
    rest = [more - end for more, end in zip(wide, ends, strict=True)]
    sums, counts = _padded(x, begins, wide, 0), _padded(counted, [0] * axes, rest, 0)
    for axis, (size, step, dilation) in enumerate(zip(kernel_shape, steps, spread, strict=True), start=2):
        reach = (size - 1) * dilation + 1
        sums = sums.unfold(axis, reach, step)[..., ::dilation].sum(-1)
        counts = counts.unfold(axis, reach, step)[..., ::dilation].sum(-1)
    return sums / counts


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
    """ONNX LpPool."""
    axes = len(kernel_shape)
    steps, spread = list(strides or [1] * axes), list(dilations or [1] * axes)
    begins, ends = _begins_and_ends(x, kernel_shape, steps, spread, auto_pad, pads)
    wide = _rounded_up(x, kernel_shape, steps, spread, begins, ends) if ceil_mode else ends
    sums = _padded(x, begins, wide, 0).abs() ** p
    for axis, (size, step, dilation) in enumerate(zip(kernel_shape, steps, spread, strict=True), start=2):
        sums = sums.unfold(axis, (size - 1) * dilation + 1, step)[..., ::dilation].sum(-1)
    norms: torch.Tensor = sums ** (1 / p)
    return norms


def _spatial(x: torch.Tensor) -> tuple[int, ...]:
    return tuple(range(2, x.dim()))


def global_lp_pool(x: torch.Tensor, *, p: int = 2) -> torch.Tensor:
    """ONNX GlobalLpPool."""
    norm: torch.Tensor = torch.linalg.vector_norm(x, p, dim=_spatial(x), keepdim=True)
    return norm


TABLE: dict[str, Callable[..., Any]] = {
    "AveragePool": average_pool,
    "Conv": convolution,
    "ConvTranspose": transposed_convolution,
    "GlobalAveragePool": lambda x: x.mean(_spatial(x), keepdim=True),
    "GlobalLpPool": global_lp_pool,
    "GlobalMaxPool": lambda x: x.amax(_spatial(x), keepdim=True),
    "LpPool": lp_pool,
    "MaxPool": max_pool,
}
