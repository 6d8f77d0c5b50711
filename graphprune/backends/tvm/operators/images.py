"""Resize and GridSample: interpolation of float32 by kernels of its own, everything else by tensor expressions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from graphprune.analysis.resampling import Taps, axis_weights
from graphprune.backends.tvm.kernels.grid_sample import grid_sample_function
from graphprune.backends.tvm.kernels.resample import resample_function
from graphprune.backends.tvm.kernels.view import View
from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import Lowering, static_shape
from graphprune.backends.tvm.operators import te_images
from graphprune.backends.tvm.operators.te import lower_with
from graphprune.backends.tvm.operators.views import input_value

_SAMPLE, _RESIZE = lower_with(te_images.grid_sample), lower_with(te_images.resize)


def resize(lowering: Lowering, group: Group) -> None:
    """Resize: one axis after the other, in the order in which the fewest elements are gathered one by one."""
    x, shape = lowering.view(input_value(group.anchor, 0)), static_shape(group.output)
    found = _taps(group, x.shape, shape)
    is_plain = all(taps.weights is not None and not taps.outside.any() for taps in found.values())
    if not found or x.shape == shape or not is_plain or x.dtype != "float32":
        _RESIZE(lowering, group)
        return
    growth = {axis: shape[axis] / x.shape[axis] for axis in found}  # only those of the last axis have to be
    for axis in sorted(found, key=lambda a: (growth[a], a if growth[a] < 1 else -a)):
        x = _resampled(lowering, x, axis, found[axis])
    lowering.define(group.output, x)


def _taps(group: Group, size: Sequence[int], shape: Sequence[int]) -> dict[int, Taps]:
    """By axis, for those that do not stay as they are."""
    settings = te_images.resampling_of(group.anchor)
    found = {
        axis: axis_weights(te_images.axis_of(group.anchor, axis, extent, length), settings)
        for axis, (extent, length) in enumerate(zip(size, shape, strict=True))
    }
    return {axis: taps for axis, taps in found.items() if taps is not None}


def _resampled(lowering: Lowering, x: View, axis: int, taps: Taps) -> View:
    assert taps.weights is not None
    length, count = taps.places.shape
    lines = lowering.reshaped(x, (math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])))
    tables = [
        lowering.constant(np.ascontiguousarray(table.T, dtype))
        for table, dtype in ((taps.places, np.int32), (taps.weights, np.float32))
    ]
    shape = (*x.shape[:axis], length, *x.shape[axis + 1 :])
    function = resample_function(lowering.machine, lines, length, count)
    buffer = lowering.call(function, [lines, *tables], math.prod(shape), x.dtype)
    return View.dense(buffer, x.dtype, shape)


def grid_sample(lowering: Lowering, group: Group) -> None:
    """GridSample."""
    attributes = group.anchor.attributes
    x, grid = (lowering.view(input_value(group.anchor, i)) for i in (0, 1))
    padding = attributes.get_string("padding_mode", "zeros")
    is_linear = attributes.get_string("mode", "linear") in ("linear", "bilinear") and padding != "reflection"
    if not is_linear or (x.dtype, grid.dtype) != ("float32", "float32"):
        _SAMPLE(lowering, group)
        return
    positions = lowering.reshaped(grid, (grid.shape[0], math.prod(grid.shape[1:-1]), grid.shape[-1]))
    align = attributes.get_int("align_corners", 0) == 1
    function = grid_sample_function(
        lowering.machine, x, positions, align_corners=align, repeats_border=padding == "border"
    )
    shape = static_shape(group.output)
    buffer = lowering.call(function, [x, positions], math.prod(shape), x.dtype)
    lowering.define(group.output, View.dense(buffer, x.dtype, shape))
