"""Sliding windows: what convolutions and poolings share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx_ir as ir

from graphprune.backends.tvm.kernels.pad import PaddedPlanes, Window, pad_function, padded_planes, padded_size
from graphprune.backends.tvm.kernels.problem import Planes
from graphprune.backends.tvm.kernels.tiling import MOST_VECTORS
from graphprune.backends.tvm.kernels.view import View
from graphprune.backends.tvm.lowering.graph import Lowering


def window_of(node: ir.Node, kernel: tuple[int, ...], size: tuple[int, ...]) -> Window:
    """The node's window over an input of spatial `size`; a window over one axis becomes one over (1, width)."""
    rank = len(kernel)
    strides = tuple(node.attributes.get_ints("strides", [1] * rank))
    dilations = tuple(node.attributes.get_ints("dilations", [1] * rank))
    pads = explicit_pads(node, kernel, strides, dilations, size)
    if rank == 1:
        return Window((1, kernel[0]), (1, strides[0]), (1, dilations[0]), (0, pads[0], 0, pads[1]))
    (kernel_h, kernel_w), (top, left, bottom, right) = kernel, pads
    return Window(
        (kernel_h, kernel_w), (strides[0], strides[1]), (dilations[0], dilations[1]), (top, left, bottom, right)
    )


def explicit_pads(
    node: ir.Node, kernel: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...], size: tuple[int, ...]
) -> tuple[int, ...]:
    """The node's pads, all begins and then all ends, with `auto_pad` resolved for an input of spatial `size`."""
    mode = node.attributes.get_string("auto_pad", "NOTSET")
    if mode == "NOTSET":
        return tuple(node.attributes.get_ints("pads", [0] * (2 * len(kernel))))
    if mode == "VALID":
        return (0,) * (2 * len(kernel))
    totals = [
        max(0, (-(-n // stride) - 1) * stride + (k - 1) * dilation + 1 - n)
        for k, stride, dilation, n in zip(kernel, strides, dilations, size, strict=True)
    ]
    small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
    return (*small, *large) if mode == "SAME_UPPER" else (*large, *small)


def transposed_pads(
    node: ir.Node, kernel: Sequence[int], size: Sequence[int], output: Sequence[int]
) -> tuple[int, ...]:
    """How much a ConvTranspose cuts off at the start of each axis."""
    rank, attributes = len(kernel), node.attributes
    mode, wanted = attributes.get_string("auto_pad", "NOTSET"), attributes.get_ints("output_shape", [])
    if mode in ("NOTSET", "VALID") and not wanted:
        return tuple(attributes.get_ints("pads", [0] * 2 * rank))[:rank]
    strides = attributes.get_ints("strides", [1] * rank)
    dilations = attributes.get_ints("dilations", [1] * rank)
    extra = attributes.get_ints("output_padding", [0] * rank)
    full = [
        s * (n - 1) + p + (k - 1) * d + 1 for s, n, p, k, d in zip(strides, size, extra, kernel, dilations, strict=True)
    ]
    total = [max(0, f - o) for f, o in zip(full, output, strict=True)]
    return tuple(t // 2 if mode == "SAME_UPPER" else t - t // 2 for t in total)


def as_images(view: View) -> View:
    """A view [image, channel, width] as [image, channel, 1, width]; one of rank 4 as it is."""
    if len(view.shape) == 4:
        return view
    images, channels, width = view.shape
    strides = (*view.strides[:2], 0, view.strides[2])
    return replace(view, shape=(images, channels, 1, width), strides=strides)


def pad(
    lowering: Lowering, x: View, window: Window, output: tuple[int, int], fill: float
) -> tuple[View, PaddedPlanes, Planes]:
    """Emit the padded, phase-split copy of `x` [image, channel, height, width]: its buffer, layout and planes."""
    images, channels, height, width = x.shape
    layout = padded_planes(window, channels, height, width, output, lowering.machine.lanes)
    slack = MOST_VECTORS * lowering.machine.lanes
    size = padded_size(layout, images, slack)
    buffer = lowering.call(pad_function("pad", lowering.machine, x, layout, size, fill), [x], size, x.dtype)
    planes = Planes(
        size,
        channels,
        channels * layout.channel_stride,
        layout.channel_stride,
        phases=layout.phases[0] * layout.phases[1],
        halo=(layout.rows - output[0]) * layout.pitch + layout.pitch - output[1],
    )
    return View.dense(buffer, x.dtype, (size,)), layout, planes
