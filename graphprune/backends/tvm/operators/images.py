"""GridSample: linear interpolation by a kernel of its own, everything else by a tensor expression."""

from __future__ import annotations

import math

from graphprune.backends.tvm.kernels.grid_sample import grid_sample_function
from graphprune.backends.tvm.kernels.view import View
from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import Lowering, static_shape
from graphprune.backends.tvm.operators import te_images
from graphprune.backends.tvm.operators.te import lower_with
from graphprune.backends.tvm.operators.views import input_value

_GENERAL = lower_with(te_images.grid_sample)


def grid_sample(lowering: Lowering, group: Group) -> None:
    """GridSample."""
    attributes = group.anchor.attributes
    x, grid = (lowering.view(input_value(group.anchor, i)) for i in (0, 1))
    padding = attributes.get_string("padding_mode", "zeros")
    is_linear = attributes.get_string("mode", "linear") in ("linear", "bilinear") and padding != "reflection"
    if not is_linear or (x.dtype, grid.dtype) != ("float32", "float32"):
        _GENERAL(lowering, group)
        return
    positions = lowering.reshaped(grid, (grid.shape[0], math.prod(grid.shape[1:-1]), grid.shape[-1]))
    align = attributes.get_int("align_corners", 0) == 1
    function = grid_sample_function(
        lowering.machine, x, positions, align_corners=align, repeats_border=padding == "border"
    )
    shape = static_shape(group.output)
    buffer = lowering.call(function, [x, positions], math.prod(shape), x.dtype)
    lowering.define(group.output, View.dense(buffer, x.dtype, shape))
