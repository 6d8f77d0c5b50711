"""Convolutions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSED = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}


def begins_and_ends(
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


def padded_with(x: torch.Tensor, begins: Sequence[int], ends: Sequence[int], value: float) -> torch.Tensor:
    """Return `x` with `value` around its spatial axes; negative padding crops."""
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
    begins, ends = begins_and_ends(x, kernel, steps, spread, auto_pad, pads)
    function = _CONVOLUTIONS[len(kernel)]
    if begins == ends:
        return function(x, w, b, steps, begins, spread, group)
    return function(padded_with(x, begins, ends, 0), w, b, steps, 0, spread, group)


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
        begins, ends = begins_and_ends(x, kernel, steps, spread, auto_pad, pads)
    after = [more - end for more, end in zip(extra, ends, strict=True)]
    filled = padded_with(whole, [-begin for begin in begins], after, 0)
    if b is not None and any(more > 0 for more in after):  # what was filled up holds the bias as well
        return padded_with(
            _TRANSPOSED[axes](x, w, None, steps, 0, 0, group, spread), [-n for n in begins], after, 0
        ) + b.view(1, -1, *[1] * axes)
    return filled


TABLE: dict[str, Callable[..., Any]] = {"Conv": convolution, "ConvTranspose": transposed_convolution}
