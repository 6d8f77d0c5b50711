"""Convolutions by definition, and through the padded planes that dense, sparse and window kernels read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphprune.backends.tvm.kernels.builder import Machine
from graphprune.backends.tvm.kernels.pad import PaddedPlanes, Window, pad_function, padded_planes, padded_size
from graphprune.backends.tvm.kernels.problem import PlaneProblem, Planes
from graphprune.backends.tvm.kernels.tiling import MOST_VECTORS, tile_rows
from graphprune.backends.tvm.kernels.view import View
from tests.backends.tvm.kernels.harness import Array, array_of, run


def window(
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int] = 1,
    dilation: int = 1,
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> Window:
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    stride = (stride, stride) if isinstance(stride, int) else stride
    return Window(kernel, stride, (dilation, dilation), pads)


WINDOWS = {
    "3x3": window(3, pads=(1, 1, 1, 1)),
    "3x3 stride 2": window(3, 2, pads=(1, 1, 1, 1)),
    "3x3 no pads": window(3),
    "1x1 stride 2": window(1, 2),
    "7x7 stride 2": window(7, 2, pads=(3, 3, 3, 3)),
    "dilation 2": window(3, dilation=2, pads=(2, 2, 2, 2)),
    "stride 2, dilation 3": window(3, 2, 3, pads=(3, 3, 3, 3)),
    "uneven": window((2, 5), (3, 1), pads=(0, 1, 2, 3)),
    "stride beyond the kernel": window(2, 3, pads=(0, 0, 1, 1)),
}


def taps_of(x: Array, w: Window, fill: float = 0.0) -> Array:
    """The input elements each output sees: [image, channel, tap, height, width]."""
    top, left, bottom, right = w.pads
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    height, width = w.output(x.shape[2], x.shape[3])
    taps = [
        padded[
            :,
            :,
            i * w.dilations[0] : i * w.dilations[0] + (height - 1) * w.strides[0] + 1 : w.strides[0],
            j * w.dilations[1] : j * w.dilations[1] + (width - 1) * w.strides[1] + 1 : w.strides[1],
        ]
        for i in range(w.kernel[0])
        for j in range(w.kernel[1])
    ]
    return np.stack(taps, axis=2)


def convolve(x: Array, weight: Array, w: Window, groups: int = 1) -> Array:
    """The convolution in float64; `weight` is [outputs, inputs of a group, taps]."""
    taps = taps_of(x.astype(np.float64), w)
    outputs = weight.shape[0] // groups
    parts = [
        np.einsum(
            "mct,ncthw->nmhw",
            weight[g * outputs : (g + 1) * outputs].astype(np.float64),
            taps[:, g * weight.shape[1] : (g + 1) * weight.shape[1]],
        )
        for g in range(groups)
    ]
    return np.concatenate(parts, axis=1)


@dataclass(frozen=True)
class Padded:
    """A padded input, and the problem of a convolution with `outputs` channels over it."""

    values: Array
    layout: PaddedPlanes
    problem: PlaneProblem


def padded(machine: Machine, view: View, flat: Array, w: Window, outputs: int, *, copy_tile: bool = False) -> Padded:
    """Run the pad kernel on a view [image, channel, height, width]."""
    images, channels, height, width = view.shape
    layout = padded_planes(w, channels, height, width, w.output(height, width), machine.lanes)
    size = padded_size(layout, images, MOST_VECTORS * machine.lanes)
    values = run(pad_function("main", machine, view, layout, size, 0.0), machine, [flat], size)
    planes = Planes(size, channels, channels * layout.channel_stride, layout.channel_stride)
    tiling = tile_rows(*layout.output, layout.pitch, machine.lanes)
    positions = layout.output[0] * layout.output[1]
    problem = PlaneProblem(machine, images, outputs, positions, planes, tiling, copy_tile=copy_tile)
    return Padded(values, layout, problem)


def shown(view: View, flat: Array) -> Array:
    """What a view shows, as an array of its own."""
    return array_of(view, flat).copy()
