"""MaxPool, AveragePool and depthwise Conv: windows over one channel at a time.

A pooling over several axes is one over the first of them of one over the others: windows over three axes, and large
ones over two, take several passes, which read far fewer elements than the whole window has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from graphprune.backends.tvm.kernels.builder import Expr, Flat, Kernel
from graphprune.backends.tvm.kernels.dot import integers_of
from graphprune.backends.tvm.kernels.epilogue import Position
from graphprune.backends.tvm.kernels.pad import PaddedPlanes, Window, padded_planes
from graphprune.backends.tvm.kernels.sliding import SUM, Sliding, maximum, weighted, weighted_words
from graphprune.backends.tvm.kernels.tap_words import tap_words
from graphprune.backends.tvm.kernels.view import Handle, View
from graphprune.backends.tvm.kernels.window import window_function
from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import Lowering, static_dtype, static_shape
from graphprune.backends.tvm.operators.region import NO_EPILOGUE, FusedEpilogue, plane_epilogue
from graphprune.backends.tvm.operators.views import input_value
from graphprune.backends.tvm.operators.windows import explicit_pads
from graphprune.backends.tvm.program.recording import Array

ONE_PASS_TAPS = 32
"""Windows over two axes of more taps are slid along one after the other (measured)."""


def max_pool(lowering: Lowering, group: Group) -> None:
    """MaxPool without indices."""
    _pool(lowering, group, maximum(static_dtype(input_value(group.anchor, 0))))


def average_pool(lowering: Lowering, group: Group) -> None:
    """AveragePool: sums times the reciprocals of how many elements each window holds."""
    _pool(lowering, group, SUM)


def depthwise(lowering: Lowering, group: Group, x: View, window: Window, weight: Array, fused: FusedEpilogue) -> None:
    """Conv with one input channel a group; `weight` is [outputs, 1, taps]."""
    sliding = weighted(weight.shape[2], len(weight) // x.shape[1])
    _slide_weight(lowering, group, x, window, sliding, weight, fused)


def depthwise_integers(
    lowering: Lowering, group: Group, x: View, window: Window, weight: Array, zero: int, fused: FusedEpilogue
) -> None:
    """ConvInteger with one input channel a group, `zero` around the input; `weight` is [outputs, taps] of int8."""
    layout = _layout(lowering, x, window, _images_of(group.output))
    words = tap_words(layout, integers_of(lowering.machine.features))
    sliding = weighted_words(words, zero, len(weight) // x.shape[1])
    _slide_weight(lowering, group, x, window, sliding, words.weight(weight), fused)


def _slide_weight(
    lowering: Lowering,
    group: Group,
    x: View,
    window: Window,
    sliding: Sliding,
    weight: Array,
    fused: FusedEpilogue,
) -> None:
    buffer = _slide(lowering, x, window, _images_of(group.output), sliding, {"weight": weight.ravel()}, fused)
    lowering.define(group.output, View.dense(buffer, fused.dtype, static_shape(group.output)))


def _images_of(output: ir.Value) -> tuple[int, int]:
    """The height and width of images [image, channel, (height,) width]."""
    height, width = (1, *static_shape(output)[2:])[-2:]
    return height, width


@dataclass(frozen=True)
class _Pass:
    """A window over one axis or two neighbouring ones: over `images` [image, channel, height, width] of a view."""

    axes: tuple[int, ...]
    window: Window
    images: tuple[int, int, int, int]
    output: tuple[int, int]


def _pool(lowering: Lowering, group: Group, sliding: Sliding) -> None:
    """All passes, the last of which takes the epilogue."""
    x, shape = lowering.view(input_value(group.anchor, 0)), static_shape(group.output)
    *first, last = _passes(group.anchor, x.shape, shape)
    for each in first:
        buffer = _slide_along(lowering, group, x, each, sliding, replace(NO_EPILOGUE, dtype=x.dtype))
        size = [*x.shape]
        for axis in each.axes:
            size[axis] = shape[axis]
        x = View.dense(buffer, x.dtype, size)
    start = last.axes[0]
    fused = plane_epilogue(lowering, group, ((0,), tuple(range(1, start)), tuple(range(start, len(shape)))))
    buffer = _slide_along(lowering, group, x, last, sliding, fused)
    lowering.define(group.output, View.dense(buffer, fused.dtype, shape))


def _passes(node: ir.Node, size: Sequence[int], output: Sequence[int]) -> list[_Pass]:
    """The passes that take a view of shape `size` to one of shape `output`, those over the last axes first."""
    shape, passes = list(size), []
    for axes in _parts(node.attributes.get_ints("kernel_shape", [])):
        end = axes[-1] + 1
        rows, columns = (None, *axes)[-2:] if end == len(size) else (*axes, None)
        extents = [1 if axis is None else shape[axis] for axis in (rows, columns)]
        results = [1 if axis is None else output[axis] for axis in (rows, columns)]
        behind = math.prod(shape[end:])  # columns that a window over rows leaves as they are
        images = (shape[0], math.prod(shape[1 : axes[0]]), extents[0], extents[1] * behind)
        window = _window(node, size, rows, columns)
        passes.append(_Pass(axes, window, images, (results[0], results[1] * behind)))
        shape[axes[0] : end] = output[axes[0] : end]
    return [each for each in passes if not each.window.is_pointwise] or passes[-1:]


def _parts(kernel: Sequence[int]) -> list[tuple[int, ...]]:
    """The axes of a tensor that are slid along together, the last ones first."""
    axes = range(2, 2 + len(kernel))
    together = len(kernel) > 1 and (min(kernel[-2:]) == 1 or math.prod(kernel[-2:]) <= ONE_PASS_TAPS)
    if together:
        return [tuple(axes[-2:]), *((axis,) for axis in reversed(axes[:-2]))]
    return [(axis,) for axis in reversed(axes)]


def _window(node: ir.Node, size: Sequence[int], rows: int | None, columns: int | None) -> Window:
    """The node's window over these axes of a tensor of shape `size`, of one element where there is none."""
    kernel = tuple(node.attributes.get_ints("kernel_shape", []))
    rank = len(kernel)
    strides, dilations = (tuple(node.attributes.get_ints(name, [1] * rank)) for name in ("strides", "dilations"))
    pads = explicit_pads(node, kernel, strides, dilations, tuple(size[2:]))

    def along(values: Sequence[int], other: int) -> tuple[int, int]:
        row, column = (other if axis is None else values[axis - 2] for axis in (rows, columns))
        return row, column

    before, after = along(pads[:rank], 0), along(pads[rank:], 0)
    return Window(along(kernel, 1), along(strides, 1), along(dilations, 1), (*before, *after))


def _slide_along(
    lowering: Lowering, group: Group, x: View, each: _Pass, sliding: Sliding, fused: FusedEpilogue
) -> Handle:
    """The buffer of one pass of a pooling."""
    images = lowering.reshaped(x, each.images)
    if sliding is not SUM:
        return _slide(lowering, images, each.window, each.output, sliding, {}, fused)
    padding_counts = group.anchor.attributes.get_int("count_include_pad", 0) == 1
    size = (each.images[2], each.images[3])
    counts = _window_counts(each.window, size, each.output, padding_counts=padding_counts)

    def apply(kernel: Kernel, value: Expr, position: Position) -> Expr:
        return fused.apply(kernel, value * kernel["reciprocal"][position[2]], position)

    reciprocal = (1 / np.maximum(counts, 1)).astype(x.dtype)  # a window of padding alone has the mean 0
    scaled = replace(fused, apply=apply)
    return _slide(lowering, images, each.window, each.output, sliding, {"reciprocal": reciprocal}, scaled)


def _slide(
    lowering: Lowering,
    x: View,
    window: Window,
    output: tuple[int, int],
    sliding: Sliding,
    constants: dict[str, Array],
    fused: FusedEpilogue,
) -> Handle:
    """Emit a window kernel over `x` [image, channel, height, width] and return the buffer of its outputs."""
    name = "window" if sliding.words is None else sliding.words.elements.kernel("window")
    layout = _layout(lowering, x, window, output)
    operands = [Flat(name, array.size, str(array.dtype)) for name, array in constants.items()]
    function = window_function(
        name, lowering.machine, x, layout, sliding, [*operands, *fused.arguments], fused.apply, fused.dtype
    )
    constant_views = [lowering.constant(array) for array in constants.values()]
    views = [x, *constant_views, *fused.views, lowering.constant(sliding.offsets(layout))]
    size = x.shape[0] * x.shape[1] * sliding.multiplier * math.prod(output)
    return lowering.call(function, views, size, fused.dtype)


def _layout(lowering: Lowering, x: View, window: Window, output: tuple[int, int]) -> PaddedPlanes:
    _, channels, height, width = x.shape
    return padded_planes(window, channels, height, width, output, lowering.machine.lanes)


def _window_counts(window: Window, size: tuple[int, int], output: tuple[int, int], *, padding_counts: bool) -> Array:
    """How many elements each window averages; what lies beyond the declared padding (ceil_mode) never counts."""
    along = [_counts_along(window, axis, size[axis], output[axis], padding_counts) for axis in (0, 1)]
    return np.outer(along[0], along[1]).ravel()


def _counts_along(window: Window, axis: int, size: int, output: int, padding_counts: bool) -> Array:  # noqa: FBT001
    first = np.arange(output) * window.strides[axis] - window.pads[axis]
    places = first[:, None] + np.arange(window.kernel[axis]) * window.dilations[axis]
    low, high = (-window.pads[axis], size + window.pads[axis + 2]) if padding_counts else (0, size)
    return np.asarray(((places >= low) & (places < high)).sum(axis=1))
