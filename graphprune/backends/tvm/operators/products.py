"""MatMul of two activations, batched."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from graphprune.backends.tvm.kernels.matmul import matmul_function
from graphprune.backends.tvm.kernels.view import View
from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import Lowering, is_constant, static_dtype, static_shape
from graphprune.backends.tvm.operators import linear
from graphprune.backends.tvm.operators.attention import attention
from graphprune.backends.tvm.operators.region import plane_epilogue
from graphprune.backends.tvm.operators.views import input_value


def matmul(lowering: Lowering, group: Group) -> None:
    """MatMul: with a constant right matrix of float32 it is a linear layer, else a product of two activations.

    One that multiplies with a softmax that is computed within is attention.
    """
    if group.before:
        attention(lowering, group)
        return
    left, right = (input_value(group.anchor, i) for i in (0, 1))
    is_linear = is_constant(right) and len(static_shape(right)) == 2 and len(static_shape(left)) >= 2
    if is_linear and static_dtype(right) == "float32":
        linear.matmul(lowering, group)
        return
    a, b = lowering.view(left), lowering.view(right)
    has_rows, has_columns = len(a.shape) > 1, len(b.shape) > 1
    a = a if has_rows else replace(a, shape=(1, *a.shape), strides=(0, *a.strides))
    b = b if has_columns else replace(b, shape=(*b.shape, 1), strides=(*b.strides, 0))
    multiply(lowering, group, a, b, (has_rows, has_columns))


def multiply(lowering: Lowering, group: Group, a: View, b: View, keeps: tuple[bool, bool] = (True, True)) -> None:
    """The product of `a` [..., i, k] and `b` [..., k, j]; `keeps` tells whether the output has the axes i and j.

    The output is written with i or with j fastest, as the layout plan asks.
    """
    shape = static_shape(group.output)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = a.broadcast((*batch, *a.shape[-2:])), b.broadcast((*batch, *b.shape[-2:]))
    rank = len(batch)
    row_axis = (rank,) if keeps[0] else ()
    column_axis = (rank + keeps[0],) if keeps[1] else ()
    axes = (tuple(range(rank)), row_axis, column_axis)
    rows_fastest = keeps == (True, True) and lowering.order(group.output)[-1] == rank
    order = (*axes[0], *column_axis, *row_axis) if rows_fastest else (*axes[0], *row_axis, *column_axis)
    if not rows_fastest and (matrices := _one_product(a, b)) is not None:
        (a, b), axes = matrices, ((), (*axes[0], *row_axis), column_axis)
    fused = plane_epilogue(lowering, group, axes)
    function = matmul_function(
        "matmul",
        lowering.machine,
        a,
        b,
        fused.arguments,
        fused.apply,
        columns_contiguous=not rows_fastest,
        output_dtype=fused.dtype,
    )
    size = int(np.prod(shape, dtype=np.int64))
    buffer = lowering.call(function, [a, b, *fused.views], size, fused.dtype, 2 * size * a.shape[-1])
    lowering.define(group.output, View.dense(buffer, fused.dtype, shape, order))


def _one_product(a: View, b: View) -> tuple[View, View] | None:
    """The operands of one product with the rows of the whole batch, if all of it shares `b`, else None."""
    if any(stride for n, stride in zip(b.shape[:-2], b.strides[:-2], strict=True) if n > 1):
        return None
    rows = a.reshape((math.prod(a.shape[:-1]), a.shape[-1]))
    return None if rows is None else (rows, replace(b, shape=b.shape[-2:], strides=b.strides[-2:]))
