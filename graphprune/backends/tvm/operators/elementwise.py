"""Groups that are element-wise from the start: one loop nest over strided views."""

from __future__ import annotations

from collections.abc import Sequence

from graphprune.backends.tvm.kernels.builder import Expr
from graphprune.backends.tvm.kernels.elementwise import elementwise_function
from graphprune.backends.tvm.kernels.view import View
from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import Lowering, static_dtype, static_shape
from graphprune.backends.tvm.operators.region import region_of


def elementwise(lowering: Lowering, group: Group) -> None:
    """Any operator of the scalar table, with the region fused behind it."""
    region = region_of(lowering, group.nodes, ())
    keys, views = list(region.views), list(region.views.values())
    shape, dtype = static_shape(group.output), static_dtype(group.output)
    same_shape = [view for view in views if 0 not in view.strides or view.shape == (1,)]
    order = lowering.order(group.output, same_shape[0] if same_shape else None)
    result = View.dense(None, dtype, shape, order)

    def compute(loads: Sequence[Expr]) -> Expr:
        return region.evaluate(dict(zip(keys, loads, strict=True)), {})

    function = elementwise_function("elementwise", lowering.machine, views, result, compute)
    buffer = lowering.call(function, views, result.size, dtype)
    lowering.define(group.output, View.dense(buffer, dtype, shape, order))
