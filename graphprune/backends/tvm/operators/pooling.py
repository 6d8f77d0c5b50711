"""MaxPool, AveragePool and depthwise Conv: windows over one channel at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from graphprune.backends.tvm.kernels.builder import Expr, Flat, Kernel
from graphprune.backends.tvm.kernels.epilogue import Position
from graphprune.backends.tvm.kernels.pad import Window, padded_planes
from graphprune.backends.tvm.kernels.view import View
from graphprune.backends.tvm.kernels.window import MAXIMUM, SUM, Sliding, weighted, window_function
from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import Lowering, static_shape
from graphprune.backends.tvm.operators.region import FusedEpilogue, plane_epilogue
from graphprune.backends.tvm.operators.views import input_value
from graphprune.backends.tvm.operators.windows import as_images, window_of
from graphprune.backends.tvm.program.recording import Array


def max_pool(lowering: Lowering, group: Group) -> None:
    """MaxPool without indices."""
    x, window = _pooled(lowering, group)
    slide(lowering, group, x, window, MAXIMUM, {}, _epilogue(lowering, group))


def average_pool(lowering: Lowering, group: Group) -> None:
    """AveragePool: a sum times the reciprocal of how many elements each window holds."""
    x, window = _pooled(lowering, group)
    shape = as_images(View.dense(None, x.dtype, static_shape(group.output))).shape
    padding_counts = group.anchor.attributes.get_int("count_include_pad", 0) == 1
    counts = _window_counts(window, (x.shape[2], x.shape[3]), (shape[2], shape[3]), padding_counts=padding_counts)
    fused = _epilogue(lowering, group)

    def apply(kernel: Kernel, value: Expr, position: Position) -> Expr:
        return fused.apply(kernel, value * kernel["reciprocal"][position[2]], position)

    reciprocal = (1 / np.maximum(counts, 1)).astype(x.dtype)  # a window of padding alone has the mean 0
    slide(lowering, group, x, window, SUM, {"reciprocal": reciprocal}, replace(fused, apply=apply))


def depthwise(lowering: Lowering, group: Group, x: View, window: Window, weight: Array, fused: FusedEpilogue) -> None:
    """Conv with one input channel a group; `weight` is [outputs, 1, taps]."""
    taps, multiplier = weight.shape[2], weight.shape[0] // x.shape[1]
    slide(lowering, group, x, window, weighted(taps, multiplier), {"weight": weight.ravel()}, fused)


def slide(
    lowering: Lowering,
    group: Group,
    x: View,
    window: Window,
    sliding: Sliding,
    constants: dict[str, Array],
    fused: FusedEpilogue,
) -> None:
    """Emit a window kernel over `x` [image, channel, height, width] and define the group's output."""
    shape = static_shape(group.output)
    output = as_images(View.dense(None, x.dtype, shape)).shape
    layout = padded_planes(window, x.shape[1], x.shape[2], x.shape[3], (output[2], output[3]), lowering.machine.lanes)
    operands = [Flat(name, array.size, str(array.dtype)) for name, array in constants.items()]
    function = window_function(
        "window", lowering.machine, x, layout, sliding, [*operands, *fused.arguments], fused.apply, fused.dtype
    )
    arrays = [*constants.values()]
    views = [x, *(lowering.constant(array) for array in arrays), *fused.views, lowering.constant(layout.tap_offsets())]
    buffer = lowering.call(function, views, int(np.prod(shape)), fused.dtype)
    lowering.define(group.output, View.dense(buffer, fused.dtype, shape))


def _pooled(lowering: Lowering, group: Group) -> tuple[View, Window]:
    x = lowering.view(input_value(group.anchor, 0))
    kernel = tuple(group.anchor.attributes.get_ints("kernel_shape", []))
    return as_images(x), window_of(group.anchor, kernel, x.shape[2:])


def _epilogue(lowering: Lowering, group: Group) -> FusedEpilogue:
    return plane_epilogue(lowering, group, ((0,), (1,), tuple(range(2, len(static_shape(group.output))))))


def _window_counts(window: Window, size: tuple[int, int], output: tuple[int, int], *, padding_counts: bool) -> Array:
    """How many elements each window averages; what lies beyond the declared padding (ceil_mode) never counts."""
    along = [_counts_along(window, axis, size[axis], output[axis], padding_counts) for axis in (0, 1)]
    return np.outer(along[0], along[1]).ravel()


def _counts_along(window: Window, axis: int, size: int, output: int, padding_counts: bool) -> Array:  # noqa: FBT001
    first = np.arange(output) * window.strides[axis] - window.pads[axis]
    places = first[:, None] + np.arange(window.kernel[axis]) * window.dilations[axis]
    low, high = (-window.pads[axis], size + window.pads[axis + 2]) if padding_counts else (0, size)
    return np.asarray(((places >= low) & (places < high)).sum(axis=1))
