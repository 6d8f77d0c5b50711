"""ConvInteger and MatMulInteger with a constant weight: words of neighbouring channels, exact sums of 32 bits.

The weight is signed and has no zero point, and the input of MatMulInteger has none either; the rewrites see to that.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.backends.tvm.kernels.dot import integers_of
from graphprune.backends.tvm.kernels.elements import FLOAT32, Elements
from graphprune.backends.tvm.kernels.pad import Window
from graphprune.backends.tvm.kernels.problem import Planes
from graphprune.backends.tvm.kernels.view import View
from graphprune.backends.tvm.kernels.words import filled_word, shift_of, word_function
from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import Lowering, constant_array, static_dtype, static_shape
from graphprune.backends.tvm.lowering.layout import Order, channel_major
from graphprune.backends.tvm.operators import pooling
from graphprune.backends.tvm.operators.convolution import channel_epilogue, convolve_planes
from graphprune.backends.tvm.operators.planes import fastest_kind, is_few, lower_positions
from graphprune.backends.tvm.operators.region import FusedEpilogue, plane_epilogue
from graphprune.backends.tvm.operators.strips import lower_strips, strip_planes
from graphprune.backends.tvm.operators.views import input_value
from graphprune.backends.tvm.operators.weights import Weight, exact_floats, fastest_integers
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
    fused = channel_epilogue(lowering, group, _biases(lowering, group, weight, zero + shift))
    pooling.depthwise_integers(lowering, group, x, window, weight, zero, fused)


def _convolve(lowering: Lowering, group: Group, array: Array) -> None:
    x, window = _images(lowering, group, array)
    weight = fastest_integers(array.reshape(*array.shape[:2], -1), lowering.machine, few=False)
    point = _zero_point(group.anchor) + shift_of(weight.elements, x.dtype)
    words, fill = _words(lowering, x, 1, weight.elements), filled_word(weight.elements, point)
    biases = _biases(lowering, group, array.reshape(len(array), -1), point)
    layout = strip_planes(lowering, words, window, weight) if weight.taps > 1 else None
    if layout is not None:
        buffer = lower_strips(lowering, group, words, weight, layout, biases, fill)
    else:
        buffer = convolve_planes(lowering, words, window, weight, channel_epilogue(lowering, group, biases), fill)
    lowering.define(group.output, View.dense(buffer, static_dtype(group.output), static_shape(group.output)))


def _images(lowering: Lowering, group: Group, array: Array) -> tuple[View, Window]:
    """The input as images, and the window of a weight over them."""
    x = lowering.view(input_value(group.anchor, 0))
    return as_images(x), window_of(group.anchor, array.shape[2:], x.shape[2:])


def _zero_point(node: ir.Node) -> int:
    """Of a convolution's input."""
    point = node.inputs[2] if len(node.inputs) > len("xw") else None
    return 0 if point is None else int(constant_array(point).item())


def _biases(lowering: Lowering, group: Group, weight: Array, point: int) -> View | None:
    """What is added to the sums by a weight [outputs, ...] of inputs of this zero point, of the output's shape."""
    shape = static_shape(group.output)
    bias = _correction(lowering, weight.sum(1, dtype=np.int32), point, len(shape) - 2)
    return None if bias is None else bias.broadcast(shape)


def matmul(lowering: Lowering, group: Group) -> None:
    """MatMulInteger of any rank by a constant matrix, channel-major like the products of floats."""
    x, array = (lowering.view(input_value(group.anchor, 0)), constant_array(input_value(group.anchor, 1)))
    shape, rank, positions = static_shape(group.output), len(x.shape), math.prod(x.shape[:-1])
    weight = _fastest(lowering, array.T[:, :, None], x.dtype, positions)
    elements = weight.elements
    words = _words(lowering, x, rank - 1, elements, channel_major(rank))
    bias = _correction(lowering, array.sum(0, dtype=np.int32), shift_of(elements, x.dtype))
    axes = ((), (rank - 1,), tuple(range(rank - 1)))
    fused = plane_epilogue(lowering, group, axes, None if bias is None else bias.broadcast(shape))
    fused = _of_floats(fused) if elements is FLOAT32 else fused
    planes = Planes(words.size, words.shape[-1], 0, positions)
    buffer = lower_positions(lowering, planes, 1, weight, positions, words, fused)
    lowering.define(group.output, View.dense(buffer, fused.dtype, shape, channel_major(rank)))


def _fastest(lowering: Lowering, array: npt.NDArray[np.int8], dtype: str, positions: int) -> Weight:
    """A weight [outputs, inputs, 1] for this type of inputs, in words or, where that is faster and exact, in floats.

    Many positions take words: one that is not zero holds an element that is not, so there are never more of them to
    multiply. For a few, the weight may have to be read from memory, and of floats only what is not zero is read.
    """
    few = is_few(lowering.machine, positions)
    words = fastest_integers(array, lowering.machine, few=few)
    floats = exact_floats(array, dtype) if few and lowering.is_far else None
    return words if floats is None else fastest_kind(lowering, words, floats, positions)


def _of_floats(fused: FusedEpilogue) -> FusedEpilogue:
    """The epilogue behind sums of floats, which are integers."""
    return replace(fused, apply=lambda kernel, value, position: fused.apply(kernel, value.astype("int32"), position))


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
