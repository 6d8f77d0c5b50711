"""Softmax, the normalisations, and the reductions, as row kernels over views of any layout."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir
from tvm import tirx

from graphprune.backends.tvm.kernels import math
from graphprune.backends.tvm.kernels.builder import Expr, Flat, bind, constant
from graphprune.backends.tvm.kernels.extremum import Extremum
from graphprune.backends.tvm.kernels.normalization import (
    Normalize,
    Reduction,
    Scale,
    log_softmax,
    log_sum_exp,
    softmax,
)
from graphprune.backends.tvm.kernels.rows import Place, RowBlock, RowProblem, row_function
from graphprune.backends.tvm.kernels.view import View, coalesce
from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import Lowering, static_dtype, static_shape
from graphprune.backends.tvm.operators.region import plane_epilogue
from graphprune.backends.tvm.operators.scalar import maximum, minimum
from graphprune.backends.tvm.operators.views import constant_ints, input_value

Recipe = Callable[[RowBlock], None]


def lower_softmax(lowering: Lowering, group: Group) -> None:
    """Softmax, LogSoftmax."""
    node = group.anchor
    x = lowering.view(input_value(node, 0))
    axis = node.attributes.get_int("axis", -1) % len(x.shape)
    _map_rows(lowering, group, x, (axis,), log_softmax if node.op_type == "LogSoftmax" else softmax, {})


def lower_layer_normalization(lowering: Lowering, group: Group) -> None:
    """LayerNormalization and RMSNormalization over the axes from `axis` on."""
    node = group.anchor
    x = lowering.view(input_value(node, 0))
    rank = len(x.shape)
    reduced = tuple(range(node.attributes.get_int("axis", -1) % rank, rank))
    factors = {
        name: lowering.view(value).broadcast(x.shape)
        for name, value in zip(("scale", "shift"), node.inputs[1:3], strict=False)
        if value is not None
    }
    recipe = Normalize(
        node.attributes.get_float("epsilon", 1e-5),
        _factor(factors, "scale"),
        _factor(factors, "shift"),
        centered=node.op_type == "LayerNormalization",
    )
    _map_rows(lowering, group, x, reduced, recipe, factors)


def lower_instance_normalization(lowering: Lowering, group: Group) -> None:
    """InstanceNormalization: each channel of each image by itself."""
    node = group.anchor
    x = lowering.view(input_value(node, 0))
    factors = {name: _per_channel(lowering, node, i, x.shape) for i, name in ((1, "scale"), (2, "shift"))}
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    recipe = Normalize(epsilon, _factor(factors, "scale"), _factor(factors, "shift"))
    _map_rows(lowering, group, x, tuple(range(2, len(x.shape))), recipe, factors)


def _per_channel(lowering: Lowering, node: ir.Node, index: int, shape: Sequence[int]) -> View:
    view = lowering.view(input_value(node, index))
    spatial = len(shape) - 2
    return replace(view, shape=(*view.shape, *[1] * spatial), strides=(*view.strides, *[0] * spatial)).broadcast(shape)


def _factor(factors: dict[str, View], name: str) -> Scale | None:
    if name not in factors:
        return None
    view = factors[name]

    def load(block: RowBlock, place: Place) -> Expr:
        at: Expr = view.offset
        for index, stride in zip(place, view.strides, strict=True):
            if stride:
                at = at + index * stride
        return block.kernel[name][at]

    return load


def _map_rows(
    lowering: Lowering, group: Group, x: View, reduced: tuple[int, ...], recipe: Recipe, factors: dict[str, View]
) -> None:
    """Emit a row kernel whose output has the input's shape, in the planned order or the input's own."""
    shape, dtype = static_shape(group.output), static_dtype(group.output)
    order = lowering.order(group.output, x)
    result = View.dense(None, dtype, shape, order)
    fused = plane_epilogue(lowering, group, tuple((axis,) for axis in range(len(shape))))
    problem = RowProblem(lowering.machine, x, reduced, result.strides, result.size, fused.dtype)
    operands = [*(Flat(name, view.size, view.dtype) for name, view in factors.items()), *fused.arguments]
    function = row_function("rows", problem, recipe, operands, fused.apply)
    buffer = lowering.call(function, [x, *factors.values(), *fused.views], result.size, fused.dtype)
    lowering.define(group.output, View.dense(buffer, fused.dtype, shape, order))


def _average(total: Expr, length: int) -> Expr:
    dtype = math.dtype_of(total)
    if dtype.startswith("float"):
        return total * constant(1.0 / length if length else float("nan"), dtype)
    return tirx.truncdiv(total, constant(max(length, 1), dtype))  # the mean of no integers is 0, as in ONNX Runtime


def _add(a: Expr, b: Expr) -> Expr:
    return a + b


def _rounded_down(function: Callable[[Expr], Expr]) -> Callable[[Expr, int], Expr]:
    """A function of floats; integers are computed in float64 and cut."""

    def finish(total: Expr, _length: int) -> Expr:
        dtype = math.dtype_of(total)
        return function(total) if dtype.startswith("float") else function(total.astype("float64")).astype(dtype)

    return finish


def _extreme(dtype: str, sign: int) -> Recipe:
    """The largest element (sign 1) or the smallest (-1), NaN if one is; true is larger than false."""
    if dtype == "bool":
        return Reduction(sign < 0, tirx.Or if sign > 0 else tirx.And)
    chosen = maximum if sign > 0 else minimum
    return Reduction(_limit(dtype, -sign), lambda a, b: chosen(bind(a), bind(b)))


REDUCTIONS: dict[str, Callable[[str], Recipe]] = {
    "ReduceSum": lambda _dtype: Reduction(0, _add),
    "ReduceMean": lambda _dtype: Reduction(0, _add, finish=_average),
    "ReduceMax": lambda dtype: _extreme(dtype, 1),
    "ReduceMin": lambda dtype: _extreme(dtype, -1),
    "ReduceProd": lambda _dtype: Reduction(1, lambda a, b: a * b),
    "ReduceL1": lambda _dtype: Reduction(0, _add, tirx.abs),
    "ReduceL2": lambda _dtype: Reduction(0, _add, lambda x: x * x, _rounded_down(tirx.sqrt)),
    "ReduceSumSquare": lambda _dtype: Reduction(0, _add, lambda x: x * x),
    "ReduceLogSum": lambda _dtype: Reduction(0, _add, finish=_rounded_down(math.log)),
    "ReduceLogSumExp": lambda _dtype: log_sum_exp,
}
"""Recipes of the reductions, by operator, for an element type."""


def _limit(dtype: str, sign: int) -> float:
    if dtype.startswith("float"):
        return sign * float("inf")
    info = np.iinfo(dtype)
    return int(info.max if sign > 0 else info.min)


def lower_reduction(lowering: Lowering, group: Group) -> None:
    """Reduce...: axes from the second input; without any, all of them or none, each element then by itself."""
    node = group.anchor
    x = lowering.view(input_value(node, 0))
    axes: Iterable[int] = constant_ints(node, 1) or node.attributes.get_ints("axes", None) or ()
    if not axes and not node.attributes.get_int("noop_with_empty_axes", 0):
        axes = range(len(x.shape))
    reduced = tuple(sorted({axis % len(x.shape) for axis in axes}))  # one may be named twice
    _reduce(lowering, group, *_merged(x, reduced), REDUCTIONS[node.op_type](x.dtype))


def lower_extremum(lowering: Lowering, group: Group) -> None:
    """ArgMax, ArgMin."""
    node = group.anchor
    x = lowering.view(input_value(node, 0))
    x = x if x.shape else lowering.reshaped(x, (1,))  # a number is the best of itself
    axis = node.attributes.get_int("axis", 0) % len(x.shape)
    largest = node.op_type == "ArgMax"
    limit = _limit(x.dtype, -1 if largest else 1)
    recipe = Extremum(limit, largest=largest, last=node.attributes.get_int("select_last_index", 0) == 1)
    _reduce(lowering, group, x, (axis,), recipe)


def lower_global_pool(lowering: Lowering, group: Group) -> None:
    """GlobalAveragePool, GlobalMaxPool."""
    x = lowering.view(input_value(group.anchor, 0))
    kind = "ReduceMean" if group.anchor.op_type == "GlobalAveragePool" else "ReduceMax"
    _reduce(lowering, group, *_merged(x, range(2, len(x.shape))), REDUCTIONS[kind](x.dtype))


def _merged(x: View, reduced: Collection[int]) -> tuple[View, tuple[int, ...]]:
    """The view with neighbouring axes of one kind as one, so that rows are long, and which of its axes are reduced."""
    shape: list[int] = []
    strides: list[int] = []
    chosen: list[int] = []
    for is_reduced, run in itertools.groupby(range(len(x.shape)), key=lambda axis: axis in reduced):
        axes = list(run)
        extents, (steps,) = coalesce([x.shape[a] for a in axes], [[x.strides[a] for a in axes]])
        chosen.extend(range(len(shape), len(shape) + len(extents)) if is_reduced else ())
        shape.extend(extents)
        strides.extend(steps)
    return replace(x, shape=tuple(shape), strides=tuple(strides)), tuple(chosen)


def _reduce(lowering: Lowering, group: Group, x: View, reduced: tuple[int, ...], recipe: Recipe) -> None:
    """Emit a row kernel with one output a row, row-major."""
    kept = [axis for axis in range(len(x.shape)) if axis not in reduced]
    compact = View.dense(None, x.dtype, [x.shape[a] for a in kept])
    strides = [0] * len(x.shape)
    for axis, stride in zip(kept, compact.strides, strict=True):
        strides[axis] = stride
    dtype = static_dtype(group.output)
    problem = RowProblem(lowering.machine, x, reduced, tuple(strides), compact.size, dtype)
    buffer = lowering.call(row_function("reduce", problem, recipe), [x], compact.size, dtype)
    lowering.define(group.output, View.dense(buffer, dtype, static_shape(group.output)))
