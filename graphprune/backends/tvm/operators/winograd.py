"""Dense 3x3 convolutions with fewer multiplications: transform, 16 products, transform back with the epilogue."""

from __future__ import annotations

from graphprune.backends.tvm.kernels.builder import Machine
from graphprune.backends.tvm.kernels.pad import Window
from graphprune.backends.tvm.kernels.problem import PlaneProblem
from graphprune.backends.tvm.kernels.sparse import TILE_VECTORS
from graphprune.backends.tvm.kernels.tiling import in_half_vectors, tile_positions
from graphprune.backends.tvm.kernels.view import Handle, View
from graphprune.backends.tvm.kernels.winograd import (
    PRODUCTS,
    WinogradLayout,
    input_function,
    output_function,
    transform_filters,
    winograd_layout,
)
from graphprune.backends.tvm.lowering.graph import Lowering
from graphprune.backends.tvm.operators.costs import costs_on
from graphprune.backends.tvm.operators.planes import ONE_TAP, emit_planes
from graphprune.backends.tvm.operators.region import NO_EPILOGUE, FusedEpilogue
from graphprune.backends.tvm.operators.weights import DENSE, Weight, candidates, dense_weight


def winograd_planes(lowering: Lowering, x: View, window: Window, weight: Weight) -> WinogradLayout | None:
    """The layout for a convolution of `x` [image, channel, height, width]; None where another kernel is faster.

    Zeros of the weight save nothing: a transformed filter has none.
    """
    same = (window.kernel, window.strides, window.dilations) == ((3, 3), (1, 1), (1, 1))
    if not same or weight.groups > 1 or x.dtype != "float32":
        return None
    layout = winograd_layout(window, x.shape[1], x.shape[2], x.shape[3], lowering.machine.lanes)
    share = share_of_dense(layout, weight, lowering.machine)
    return layout if share < candidates(weight, lowering.machine, few=0)[0].share else None


def share_of_dense(layout: WinogradLayout, weight: Weight, machine: Machine) -> float:
    """The estimated time over that of the dense kernel."""
    height, width = layout.output
    costs, counts = costs_on(machine), (layout.tiles, height * width)
    tiles, positions = (in_half_vectors(count, layout.lanes) + costs.weight for count in counts)
    products = PRODUCTS * tiles / (weight.taps * positions)
    return products * (1 + costs.transform * (1 / weight.inputs + 1 / weight.outputs))


def lower_winograd(lowering: Lowering, x: View, weight: Weight, layout: WinogradLayout, fused: FusedEpilogue) -> Handle:
    """Emit the convolution; returns the output buffer [image][output channel][position]."""
    machine, images, planes = lowering.machine, x.shape[0], layout.planes(x.shape[0])
    transformed = lowering.call(input_function("winograd_input", machine, x, layout), [x], planes.size, x.dtype)
    dense = DENSE.form(weight).dense
    assert dense is not None
    filters = dense_weight(transform_filters(dense), PRODUCTS)
    tiling = tile_positions(layout.tiles, machine.lanes, TILE_VECTORS)
    problem = PlaneProblem(machine, images, filters.outputs, layout.tiles, planes, tiling)
    function, constants = emit_planes(problem, NO_EPILOGUE, ONE_TAP, filters)
    inputs = [View.dense(transformed, x.dtype, (planes.size,)), *map(lowering.constant, constants)]
    size = images * filters.outputs * layout.tiles
    products = lowering.call(function, inputs, size, "float32", 2 * images * filters.size * layout.tiles)
    eligible = ("winograd", *(candidate.kernel for candidate in candidates(weight, machine, few=0)))
    share = share_of_dense(layout, weight, machine)
    lowering.note("winograd", f"estimated at {share:.0%} of the dense kernel's time", eligible)
    shape = images, weight.outputs
    back = output_function("winograd_output", machine, shape, layout, fused.arguments, fused.apply, fused.dtype)
    views = [View.dense(products, "float32", (size,)), *fused.views]
    return lowering.call(back, views, images * weight.outputs * layout.output[0] * layout.output[1], fused.dtype)
