"""ConvInteger and MatMulInteger with a constant weight: words of neighbouring channels, exact sums of 32 bits.

The weight is signed and has no zero point, and the input of MatMulInteger has none either; the rewrites see to that.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from graphprune.backends.tvm.kernels.dot import integers_of
from graphprune.backends.tvm.kernels.elements import Elements
from graphprune.backends.tvm.kernels.pad import Window
from graphprune.backends.tvm.kernels.problem import Planes
from graphprune.backends.tvm.kernels.view import View
from graphprune.backends.tvm.kernels.words import filled_word, shift_of, word_function
from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import Lowering, constant_array, static_dtype, static_shape
from graphprune.backends.tvm.lowering.layout import Order, channel_major
from graphprune.backends.tvm.operators import pooling
from graphprune.backends.tvm.operators.convolution import channel_epilogue, convolve_planes
from graphprune.backends.tvm.operators.planes import lower_positions
from graphprune.backends.tvm.operators.region import FusedEpilogue, plane_epilogue
from graphprune.backends.tvm.operators.views import input_value
from graphprune.backends.tvm.operators.weights import fastest_integers
from graphprune.backends.tvm.operators.windows import as_images, window_of
from graphprune.backends.tvm.program.recording import Array


def convolution(lowering: Lowering, group: Group) -> None:
    """ConvInteger over one or two axes, of one group or depthwise; its padding is the zero point."""
    array = constant_array(input_value(group.anchor, 1))
    if group.anchor.attributes.get_int("group", 1) > 1:
        _depthwise(lowering, group, array)
    else:
        _convolve(lowering, group, array)


def _depthwise(lowering: Lowering, group: Group, array: Array) -> None:
    x, window = _images(lowering, group, array)
    zero, weight = _zero_point(group.anchor), array.reshape(len(array), -1)
    shift = shift_of(integers_of(lowering.machine.features), x.dtype)
    fused = _epilogue(lowering, group, weight, zero + shift)
    pooling.depthwise_integers(lowering, group, x, window, weight, zero, fused)


def _convolve(lowering: Lowering, group: Group, array: Array) -> None:
    x, window = _images(lowering, group, array)
    weight = fastest_integers(array.reshape(*array.shape[:2], -1), lowering.machine, few=False)
    point = _zero_point(group.anchor) + shift_of(weight.elements, x.dtype)
    words = _words(lowering, x, 1, weight.elements)
    fused = _epilogue(lowering, group, array.reshape(len(array), -1), point)
    buffer = convolve_planes(lowering, words, window, weight, fused, filled_word(weight.elements, point))
    lowering.define(group.output, View.dense(buffer, static_dtype(group.output), static_shape(group.output)))


def _images(lowering: Lowering, group: Group, array: Array) -> tuple[View, Window]:
    """The input as images, and the window of a weight over them."""
    x = lowering.view(input_value(group.anchor, 0))
    return as_images(x), window_of(group.anchor, array.shape[2:], x.shape[2:])


def _zero_point(node: ir.Node) -> int:
    """Of a convolution's input."""
    point = node.inputs[2] if len(node.inputs) > len("xw") else None
    return 0 if point is None else int(constant_array(point).item())


def _epilogue(lowering: Lowering, group: Group, weight: Array, point: int) -> FusedEpilogue:
    """What follows the sums by a weight [outputs, ...] of inputs of this zero point."""
    shape = static_shape(group.output)
    bias = _correction(lowering, weight.sum(1, dtype=np.int32), point, len(shape) - 2)
    return channel_epilogue(lowering, group, None if bias is None else bias.broadcast(shape))


def matmul(lowering: Lowering, group: Group) -> None:
    """MatMulInteger of any rank by a constant matrix, channel-major like the products of floats."""
    x, array = (lowering.view(input_value(group.anchor, 0)), constant_array(input_value(group.anchor, 1)))
    shape, rank, positions = static_shape(group.output), len(x.shape), math.prod(x.shape[:-1])
    weight = fastest_integers(array.T[:, :, None], lowering.machine, few=2 * positions < lowering.machine.lanes)
    elements = weight.elements
    words = _words(lowering, x, rank - 1, elements, channel_major(rank))
    bias = _correction(lowering, array.sum(0, dtype=np.int32), shift_of(elements, x.dtype))
    axes = ((), (rank - 1,), tuple(range(rank - 1)))
    fused = plane_epilogue(lowering, group, axes, None if bias is None else bias.broadcast(shape))
    planes = Planes(words.size, words.shape[-1], 0, positions)
    buffer = lower_positions(lowering, planes, 1, weight, positions, words, fused)
    lowering.define(group.output, View.dense(buffer, fused.dtype, shape, channel_major(rank)))


def _words(lowering: Lowering, x: View, axis: int, elements: Elements, order: Order | None = None) -> View:
    """The bytes of `x` with the channels along `axis` in words."""
    shape = list(x.shape)
    shape[axis] = -(-shape[axis] // elements.channels)
    words = View.dense(None, elements.inputs, shape, order)
    buffer = lowering.call(word_function(lowering.machine, x, axis, elements, words), [x], words.size, words.dtype)
    return View.dense(buffer, elements.inputs, shape, order)


def _correction(lowering: Lowering, sums: Array, point: int, spatial: int = 0) -> View | None:
    """What a zero point of the activations adds to the products by a weight of these sums, before so many axes."""
    return lowering.constant((-point * sums).reshape(-1, *[1] * spatial)) if point else None
