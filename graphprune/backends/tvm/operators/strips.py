"""Convolutions over planes cut in strips: cut, multiply and add, and put together with the epilogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphprune.backends.tvm.kernels.builder import Expr
from graphprune.backends.tvm.kernels.dot import SMALL_QUADS
from graphprune.backends.tvm.kernels.elementwise import elementwise_function
from graphprune.backends.tvm.kernels.pad import Window, padded_planes
from graphprune.backends.tvm.kernels.problem import PlaneProblem
from graphprune.backends.tvm.kernels.strips import StripPlanes, choose_strips, strip_function
from graphprune.backends.tvm.kernels.view import Handle, View
from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import Lowering, static_dtype, static_shape
from graphprune.backends.tvm.operators.planes import lower_planes
from graphprune.backends.tvm.operators.region import NO_EPILOGUE, region_of
from graphprune.backends.tvm.operators.weights import Weight, candidates
from graphprune.backends.tvm.operators.windows import as_images

COPY_COST = 6
"""Time to move a vector into strips or out of them, over that of a multiply-add (measured)."""

GAIN = 0.5
"""Time that a multiply-add saves on aligned inputs, over its own (measured); none where it is three instructions."""


def strip_planes(lowering: Lowering, x: View, window: Window, weight: Weight) -> StripPlanes | None:
    """The layout for a convolution of `x` [image, channel, height, width]; None where cutting would not pay."""
    lanes = lowering.machine.lanes
    channels, height, width = x.shape[1:]
    output = window.output(height, width)
    padded = padded_planes(window, channels, height, width, output, lanes)
    layout = StripPlanes(padded, choose_strips(output, padded.halo, lanes), lanes)
    vectors = layout.strips.vectors
    is_dense = candidates(weight, lowering.machine, few=0)[0].height == 0
    if is_dense or weight.elements is SMALL_QUADS or 2 * output[0] * output[1] < vectors * lanes:
        return None
    copied = channels * layout.vectors + weight.outputs * vectors
    return layout if GAIN * weight.nonzeros * vectors > COPY_COST * copied else None


def lower_strips(
    lowering: Lowering, group: Group, x: View, weight: Weight, layout: StripPlanes, bias: View | None, fill: int = 0
) -> Handle:
    """Emit the convolution, with `fill` around the images; returns the output buffer, row-major."""
    images, machine, elements = x.shape[0], lowering.machine, weight.elements
    planes, outputs = layout.planes(images), layout.output(images, weight.outputs, elements.sums)
    strips = lowering.call(strip_function("cut", machine, x, layout, fill), [x], planes.size, x.dtype)
    positions = outputs.size // (images * weight.outputs)
    problem = PlaneProblem(machine, images, weight.outputs, positions, planes, layout.tiling(), elements)
    cut = View.dense(strips, x.dtype, (planes.size,))
    raw = replace(NO_EPILOGUE, dtype=elements.sums)
    sums = lower_planes(lowering, problem, weight, cut, raw, layout.tap_offsets())
    return _put_together(lowering, group, replace(outputs, buffer=sums), layout, bias)


def _put_together(lowering: Lowering, group: Group, sums: View, layout: StripPlanes, bias: View | None) -> Handle:
    """Store the sums row by row, with the group's bias and element-wise nodes."""
    shape, dtype = static_shape(group.output), static_dtype(group.output)
    region = region_of(lowering, group.region, group.anchor.outputs[:1])
    biases = [] if bias is None else [bias]
    views = [*biases, *region.views.values()]

    def compute(loads: Sequence[Expr]) -> Expr:
        total = loads[0] + loads[1] if biases else loads[0]
        others = dict(zip(region.views, loads[1 + len(biases) :], strict=True))
        return region.evaluate(others, {group.anchor.outputs[0]: total}) if region.nodes else total

    operands = [sums, *(layout.strips.cut(as_images(view)) for view in views)]
    result = View.dense(None, dtype, shape)
    target = layout.strips.cut(as_images(result))
    function = elementwise_function("put_together", lowering.machine, operands, target, compute)
    return lowering.call(function, operands, result.size, dtype)
