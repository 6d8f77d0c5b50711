"""Fourier transforms, and folding columns back into an image."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from graphprune.frontends.torch_operators.values import Value, integer, integers


def dft(
    x: torch.Tensor,
    length: Value | None = None,
    along: Value | None = None,
    *,
    axis: int = -2,
    inverse: int = 0,
    onesided: int = 0,
) -> torch.Tensor:
    """ONNX DFT: the last axis holds real numbers, or real and imaginary parts."""
    if x.dtype in {torch.float16, torch.bfloat16}:  # torch has no transforms of these
        wide = dft(x.float(), length, along, axis=axis, inverse=inverse, onesided=onesided)
        return wide.to(x.dtype)
    place = (axis if along is None else integer(along)) % x.dim()
    count = None if length is None else integer(length)
    signal = torch.view_as_complex(x.contiguous()) if x.shape[-1] == 2 else x[..., 0]  # noqa: PLR2004 - two parts
    if inverse and onesided:
        real: torch.Tensor = torch.fft.irfft(signal, count, place)
        return real.unsqueeze(-1)
    if onesided:
        return torch.view_as_real(torch.fft.rfft(signal.real, count, place))
    return torch.view_as_real((torch.fft.ifft if inverse else torch.fft.fft)(signal, count, place))


def columns_to_image(
    x: torch.Tensor,
    image_shape: Value,
    block_shape: Value,
    *,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> torch.Tensor:
    """ONNX Col2Im: sums of blocks, over any number of spatial axes."""
    image, block = integers(image_shape), integers(block_shape)
    axes = len(image)
    steps, spread = strides or [1] * axes, dilations or [1] * axes
    margins = pads or [0] * 2 * axes
    padded = [n + margins[i] + margins[i + axes] for i, n in enumerate(image)]
    counts = [(n - (b - 1) * d - 1) // s + 1 for n, b, d, s in zip(padded, block, spread, steps, strict=True)]
    columns = x.reshape(x.shape[0], -1, math.prod(block), *counts)
    everything: list[Any] = [slice(None), slice(None)]
    result = x.new_zeros(x.shape[0], columns.shape[1], *padded)
    for index, offset in enumerate(itertools.product(*map(range, block))):
        window = [
            slice(o * d, o * d + (count - 1) * s + 1, s)
            for o, d, count, s in zip(offset, spread, counts, steps, strict=True)
        ]
        result[tuple(everything + window)] += columns[:, :, index]
    return result[tuple(everything + [slice(margins[i], margins[i] + n) for i, n in enumerate(image)])]


TABLE: dict[str, Callable[..., Any]] = {"Col2Im": columns_to_image, "DFT": dft}
