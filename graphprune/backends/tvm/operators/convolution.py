"""Conv, PackedConv and PackedNmConv over one or two spatial axes, with groups of any size."""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from graphprune.backends.tvm.kernels.elements import FLOAT32, Elements
from graphprune.backends.tvm.kernels.pad import Window
from graphprune.backends.tvm.kernels.problem import PlaneProblem, Planes
from graphprune.backends.tvm.kernels.sparse import TILE_VECTORS
from graphprune.backends.tvm.kernels.tiling import tile_positions, tile_rows
from graphprune.backends.tvm.kernels.view import Handle, View, merged_stride
from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import Lowering, constant_array, static_dtype, static_shape
from graphprune.backends.tvm.operators import pooling
from graphprune.backends.tvm.operators.planes import Indices, lower_planes, lower_pointwise
from graphprune.backends.tvm.operators.region import FusedEpilogue, plane_epilogue
from graphprune.backends.tvm.operators.strips import lower_strips, strip_planes
from graphprune.backends.tvm.operators.views import input_value
from graphprune.backends.tvm.operators.weights import Weight, dense_weight, grouped_weight, packed_weight
from graphprune.backends.tvm.operators.windows import as_images, pad, window_of
from graphprune.backends.tvm.operators.winograd import lower_winograd, winograd_planes
from graphprune.packed.calls import extra_index


def convolution(lowering: Lowering, group: Group) -> None:
    """Conv with a constant weight."""
    array = constant_array(input_value(group.anchor, 1))
    groups, taps = group.anchor.attributes.get_int("group", 1), array.reshape(*array.shape[:2], -1)
    if array.shape[1] == 1 and groups > 1:
        _depthwise(lowering, group, dense_weight(taps), array.shape[2:])
        return
    weight = grouped_weight(taps, groups) if groups > 1 else dense_weight(taps)
    _convolve(lowering, group, weight, array.shape[2:], bias_index=2)


def packed_convolution(lowering: Lowering, group: Group) -> None:
    """A packed Conv, of any layout."""
    kernel = tuple(group.anchor.attributes.get_ints("weight_shape", []))[2:]
    _convolve(lowering, group, packed_weight(group.anchor), kernel, bias_index=extra_index(group.anchor))


def _depthwise(lowering: Lowering, group: Group, weight: Weight, kernel: tuple[int, ...]) -> None:
    assert weight.dense is not None
    x = lowering.view(input_value(group.anchor, 0))
    window = window_of(group.anchor, kernel, x.shape[2:])
    fused = channel_epilogue(lowering, group, bias_view(lowering, group, 2))
    pooling.depthwise(lowering, group, as_images(x), window, weight.dense, fused)


def _convolve(lowering: Lowering, group: Group, weight: Weight, kernel: tuple[int, ...], *, bias_index: int) -> None:
    node, shape = group.anchor, static_shape(group.output)
    x = lowering.view(input_value(node, 0))
    window = window_of(node, kernel, x.shape[2:])
    bias = bias_view(lowering, group, bias_index)
    layout = strip_planes(lowering, as_images(x), window, weight) if weight.taps > 1 else None
    tiles = None if _is_exact(node) else winograd_planes(lowering, as_images(x), window, weight)
    if tiles is not None:
        buffer = lower_winograd(lowering, as_images(x), weight, tiles, channel_epilogue(lowering, group, bias))
    elif layout is not None:
        buffer = lower_strips(lowering, group, as_images(x), weight, layout, bias)
    else:
        buffer = convolve_planes(lowering, as_images(x), window, weight, channel_epilogue(lowering, group, bias))
    lowering.define(group.output, View.dense(buffer, static_dtype(group.output), shape))


def _is_exact(node: ir.Node) -> bool:
    """Whether sums of integers are wanted: those of Winograd's transformed ones are rounded."""
    return any(
        user.op_type == "Cast" and user.outputs[0].dtype == ir.DataType.INT32 for user in node.outputs[0].consumers()
    )


def channel_epilogue(lowering: Lowering, group: Group, bias: View | None) -> FusedEpilogue:
    """What follows the sums [image][channel][position] of a convolution."""
    axes = ((0,), (1,), tuple(range(2, len(static_shape(group.output)))))
    return plane_epilogue(lowering, group, axes, bias)


def bias_view(lowering: Lowering, group: Group, index: int) -> View | None:
    """The bias at this input, if there is one, in the shape of the output."""
    value = group.anchor.inputs[index] if len(group.anchor.inputs) > index else None
    if value is None:
        return None
    shape, view = static_shape(group.output), lowering.view(value)
    spatial = len(shape) - 2
    return replace(view, shape=(*view.shape, *[1] * spatial), strides=(*view.strides, *[0] * spatial)).broadcast(shape)


def convolve_planes(
    lowering: Lowering, x: View, window: Window, weight: Weight, fused: FusedEpilogue, fill: int = 0
) -> Handle:
    """The convolution of `x` [image, channel, height, width], `fill` around it, as one over planes."""
    if window.is_pointwise:
        return _pointwise(lowering, x, weight, fused)
    padded, problem, taps = window_problem(lowering, x, window, weight.outputs, fill, weight.elements)
    return lower_planes(lowering, problem, weight, padded, fused, taps)


def _pointwise(lowering: Lowering, x: View, weight: Weight, fused: FusedEpilogue) -> Handle:
    """Each output reads the input at its own position."""
    position = merged_stride(x.shape[2:], x.strides[2:])
    if position is None:
        x, position = lowering.dense(x), 1
    images, channels, height, width = x.shape
    planes = Planes(x.size, channels, x.strides[0], x.strides[1], position, x.offset)
    return lower_pointwise(lowering, planes, images, weight, height * width, x, fused)


def window_problem(
    lowering: Lowering, x: View, window: Window, outputs: int, fill: int = 0, elements: Elements = FLOAT32
) -> tuple[View, PlaneProblem, Indices]:
    """The padded images of a window, the problem of `outputs` channels over them, and where the taps lie."""
    height, width = window.output(*x.shape[2:])
    padded, layout, planes = pad(lowering, x, window, (height, width), fill)
    if layout.pitch == width:
        tiling = tile_positions(height * width, lowering.machine.lanes, TILE_VECTORS)
    else:
        tiling = tile_rows(height, width, layout.pitch, lowering.machine.lanes)
    problem = PlaneProblem(lowering.machine, x.shape[0], outputs, height * width, planes, tiling, elements)
    return padded, problem, layout.tap_offsets()
