"""Resize, GridSample and RoiAlign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir
from tvm import te, tirx, topi

from graphprune.analysis.resampling import CROP, Axis, Resampling, axis_weights
from graphprune.backends.tvm.kernels.builder import Expr
from graphprune.backends.tvm.kernels.gather import gather_function
from graphprune.backends.tvm.kernels.view import View
from graphprune.backends.tvm.lowering.graph import Lowering, constant_array, is_constant
from graphprune.backends.tvm.operators.te import Expression, Tensor, shape_of
from graphprune.backends.tvm.operators.views import input_value
from graphprune.backends.tvm.program.recording import Array


def resize(e: Expression) -> Sequence[Tensor]:
    """Resize: one axis after the other, each a few weighted elements of the input.

    As in ONNX Runtime, nothing is computed where the shape stays, whatever the scales and the region are.
    """
    x, shape = e[0], _output_shape(e.node)
    if shape == shape_of(x):
        return [te.compute(shape, x, "copied")]
    settings = resampling_of(e.node)
    outside = []
    for axis, (size, length) in enumerate(zip(shape_of(x), shape, strict=True)):
        taps = axis_weights(axis_of(e.node, axis, size, length), settings)
        if taps is None:
            continue
        x = _resampled(e, x, axis, taps.places, taps.weights)
        if taps.outside.any():
            outside.append((axis, e.table(taps.outside)))
    if not outside:
        return [x]
    fill = tirx.const(e.node.attributes.get_float("extrapolation_value", 0.0), x.dtype)

    def element(*index: Expr) -> Expr:
        return tirx.Select(tirx.any(*(mask[index[axis]] for axis, mask in outside)), fill, x(*index))

    return [te.compute(shape, element, "extrapolated")]


def _resampled(e: Expression, x: Tensor, axis: int, places: Array, weights: Array | None) -> Tensor:
    """Axis `axis` of `x` resampled: element `o` is the sum of `weights[o, t] * x[places[o, t]]` over `t`."""
    shape = shape_of(x)
    table = e.table(places.astype(np.int32))
    factors = None if weights is None else e.table(weights.astype(np.float32))
    result = (*shape[:axis], places.shape[0], *shape[axis + 1 :])

    def tap(index: Sequence[Expr], t: Expr) -> Expr:
        element = x(*index[:axis], table[index[axis], t], *index[axis + 1 :])
        return element if factors is None else element.astype("float32") * factors[index[axis], t]

    if factors is None:
        return te.compute(result, lambda *index: tap(index, 0), "nearest")
    taps = te.reduce_axis((0, places.shape[1]), "tap")
    total = te.compute(result, lambda *index: te.sum(tap(index, taps), axis=taps), "resampled")
    return total if x.dtype == "float32" else te.compute(result, lambda *i: total(*i).astype(x.dtype), "narrowed")


def resampling_of(node: ir.Node) -> Resampling:
    """The attributes of a Resize."""
    attributes = node.attributes
    return Resampling(
        attributes.get_string("mode", "nearest"),
        attributes.get_string("coordinate_transformation_mode", "half_pixel"),
        attributes.get_string("nearest_mode", "round_prefer_floor"),
        attributes.get_float("cubic_coeff_a", -0.75),
        exclude_outside=attributes.get_int("exclude_outside", 0) == 1,
        antialias=attributes.get_int("antialias", 0) == 1,
    )


def axis_of(node: ir.Node, axis: int, size: int, length: int) -> Axis:
    """Size, scale and region of interest of one axis."""
    rank = len(_output_shape(node))
    axes = [a % rank for a in node.attributes.get_ints("axes", list(range(rank)))]
    if axis not in axes:
        return Axis(size, length, 1.0, (0.0, 1.0))
    position = axes.index(axis)
    roi, scales, sizes = (_constant(node, i) for i in (1, 2, 3))
    scale = float(scales[position] if scales is not None else np.float32(length) / np.float32(size))
    policy = node.attributes.get_string("keep_aspect_ratio_policy", "stretch")
    if sizes is not None and policy != "stretch":
        ratios = [np.float32(n) / np.float32(_input_shape(node)[a]) for n, a in zip(sizes, axes, strict=True)]
        scale = float(min(ratios) if policy == "not_larger" else max(ratios))
    is_crop = node.attributes.get_string("coordinate_transformation_mode", "half_pixel") == CROP
    region = (float(roi[position]), float(roi[position + len(axes)])) if is_crop and roi is not None else (0.0, 1.0)
    return Axis(size, length, scale, region)


def _constant(node: ir.Node, index: int) -> Array | None:
    value = node.inputs[index] if index < len(node.inputs) else None
    if value is None or not is_constant(value):
        return None
    array = constant_array(value)
    return array if array.size else None


def _output_shape(node: ir.Node) -> tuple[int, ...]:
    shape = node.outputs[0].shape
    assert shape is not None
    return tuple(int(n) for n in shape.numpy())


def _input_shape(node: ir.Node) -> tuple[int, ...]:
    value = node.inputs[0]
    assert value is not None
    assert value.shape is not None
    return tuple(int(n) for n in value.shape.numpy())


def grid_sample(e: Expression) -> Sequence[Tensor]:
    """GridSample over two or three spatial axes."""
    x, grid = e[0], e[1]
    attributes = e.node.attributes
    mode = attributes.get_string("mode", "linear")
    method = {"nearest": "nearest", "cubic": "bicubic", "bicubic": "bicubic"}.get(mode, "bilinear")
    order = topi.transpose(grid, [0, len(shape_of(grid)) - 1, *range(1, len(shape_of(grid)) - 1)])
    padding = attributes.get_string("padding_mode", "zeros")
    align = attributes.get_int("align_corners", 0) == 1
    layout = "NCHW" if len(shape_of(x)) == 4 else "NCDHW"
    return [topi.image.grid_sample(x, order, method, layout, padding, align)]


def checked_images(lowering: Lowering, node: ir.Node) -> Mapping[int, View]:
    """RoiAlign's third input, of which one outside the batch stops the run: looked up in a table of all images."""
    given, count = lowering.view(input_value(node, 2)), _input_shape(node)[0]
    table = lowering.reshaped(lowering.constant(np.arange(count)), (1, count, 1))
    function = gather_function(lowering.machine, table, given, node.name or "", node.op_type)
    return {
        2: View.dense(lowering.call(function, [table, given], given.elements, table.dtype), table.dtype, given.shape)
    }


def roi_align(e: Expression) -> Sequence[Tensor]:
    """RoiAlign: averages (or maxima) of bilinear samples in each cell of each region."""
    x, rois, images = e[0], e[1], e[2]
    attributes = e.node.attributes
    height, width = shape_of(x)[2:]
    rows, columns = attributes.get_int("output_height", 1), attributes.get_int("output_width", 1)
    ratio = attributes.get_int("sampling_ratio", 0)
    scale = tirx.const(attributes.get_float("spatial_scale", 1.0), x.dtype)
    half = attributes.get_string("coordinate_transformation_mode", "half_pixel") == "half_pixel"
    shift, zero, one = (tirx.const(v, x.dtype) for v in (0.5 if half else 0.0, 0.0, 1.0))
    is_mean = attributes.get_string("mode", "avg") == "avg"
    down, across = te.reduce_axis((0, ratio), "down"), te.reduce_axis((0, ratio), "across")

    def along(r: Expr, first: int, cell: Expr, sample: Expr, cells: int) -> Expr:
        start, end = (rois[r, first + 2 * i] * scale - shift for i in (0, 1))
        extent = end - start if half else tirx.max(end - start, one)
        step = extent / tirx.const(cells, x.dtype)
        return start + step * (cell.astype(x.dtype) + (sample.astype(x.dtype) + 0.5) / tirx.const(ratio, x.dtype))

    def sample(r: Expr, c: Expr, i: Expr, j: Expr) -> Expr:
        y, z = along(r, 1, i, down, rows), along(r, 0, j, across, columns)
        inside = tirx.all(y >= -one, y <= height, z >= -one, z <= width)
        corners = [_corners(value, size, x.dtype) for value, size in ((y, height), (z, width))]
        parts = [
            x[images[r].astype("int32"), c, at_y, at_x] * (part_y * part_x)
            for at_y, part_y in corners[0]
            for at_x, part_x in corners[1]
        ]
        if not is_mean:
            return tirx.if_then_else(inside, tirx.max(tirx.max(parts[0], parts[1]), tirx.max(parts[2], parts[3])), zero)
        return tirx.if_then_else(inside, sum(parts[1:], start=parts[0]), zero)

    shape = (shape_of(rois)[0], shape_of(x)[1], rows, columns)
    combine = te.sum if is_mean else te.max
    total = te.compute(shape, lambda *index: combine(sample(*index), axis=[down, across]), "regions")
    if not is_mean:
        return [total]
    return [te.compute(shape, lambda *index: total(*index) / tirx.const(ratio * ratio, x.dtype), "mean")]


def _corners(value: Expr, size: int, dtype: str) -> list[tuple[Expr, Expr]]:
    """The two neighbours of a coordinate and their weights; coordinates are limited to the image."""
    limited = tirx.min(tirx.max(value, tirx.const(0, dtype)), tirx.const(size - 1, dtype))
    low = tirx.max(tirx.min(tirx.floor(limited).astype("int32"), tirx.const(size - 1, "int32")), 0)  # 0: of a NaN
    high = tirx.min(low + 1, tirx.const(size - 1, "int32"))
    part = limited - low.astype(dtype)
    return [(low, tirx.const(1, dtype) - part), (high, part)]
