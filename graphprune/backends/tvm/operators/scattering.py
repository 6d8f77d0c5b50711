"""Operators that place elements by index: GatherElements, Scatter..., MaxUnpool, CumSum, TopK."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack

from tvm import tirx

from graphprune.backends.tvm.kernels.builder import Expr, Kernel
from graphprune.backends.tvm.kernels.indexing import (
    Combine,
    Target,
    at,
    checked,
    gather_elements_function,
    scan_function,
    scatter_function,
    top_function,
)
from graphprune.backends.tvm.kernels.sorting import SORTED, sorted_top_function
from graphprune.backends.tvm.kernels.view import Handle, View
from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import Lowering, static_dtype, static_shape
from graphprune.backends.tvm.operators.arithmetic import maximum, minimum
from graphprune.backends.tvm.operators.views import constant_ints, input_value

COMBINE: dict[str, Combine] = {
    "none": lambda _old, new: new,
    "add": lambda old, new: old + new,
    "mul": lambda old, new: old * new,
    "max": maximum,
    "min": minimum,
}


MOST_INSERTED = 16
"""Up to so many largest elements are kept in order one by one."""


def gather_elements(lowering: Lowering, group: Group) -> None:
    """GatherElements."""
    x, indices = (lowering.view(input_value(group.anchor, i)) for i in (0, 1))
    axis = group.anchor.attributes.get_int("axis", 0) % len(x.shape)
    result = _result(group)
    function = gather_elements_function(x, indices, result, axis, _where(group))
    _define(lowering, group, function, [x, indices], result)


def scatter_elements(lowering: Lowering, group: Group) -> None:
    """ScatterElements."""
    data, indices, updates = (lowering.view(input_value(group.anchor, i)) for i in range(3))
    axis = group.anchor.attributes.get_int("axis", 0) % len(data.shape)

    def target(kernel: Kernel, position: list[Expr], stack: ExitStack) -> list[Expr]:
        chosen = checked(kernel["indices"][at(indices, position)], data.shape[axis], _where(group), stack)
        return [*position[:axis], chosen, *position[axis + 1 :]]

    _scatter(lowering, group, data, {"indices": indices, "updates": updates}, target)


def scatter_nd(lowering: Lowering, group: Group) -> None:
    """ScatterND."""
    data, indices, updates = (lowering.view(input_value(group.anchor, i)) for i in range(3))
    lead, depth = len(indices.shape) - 1, indices.shape[-1]

    def target(kernel: Kernel, position: list[Expr], stack: ExitStack) -> list[Expr]:
        chosen = [
            checked(kernel["indices"][at(indices, [*position[:lead], k])], data.shape[k], _where(group), stack)
            for k in range(depth)
        ]
        return [*chosen, *position[lead:]]

    _scatter(lowering, group, data, {"indices": indices, "updates": updates}, target)


def tensor_scatter(lowering: Lowering, group: Group) -> None:
    """TensorScatter: updates written into a cache from a position a batch on, around its end if `mode` is circular."""
    node = group.anchor
    cache, updates = (lowering.view(input_value(node, i)) for i in (0, 1))
    axis = node.attributes.get_int("axis", -2) % len(cache.shape)
    circular = node.attributes.get_string("mode", "linear") == "circular"
    value = node.inputs[2] if len(node.inputs) > 2 else None
    starts = None if value is None else lowering.view(value)

    def target(kernel: Kernel, position: list[Expr], stack: ExitStack) -> list[Expr]:
        place = position[axis]
        if starts is not None:
            place = place + kernel["starts"][at(starts, position[:1])]
        if circular:
            place = tirx.floormod(place, tirx.const(cache.shape[axis], str(place.ty.dtype)))
        chosen = checked(place, cache.shape[axis], _where(group), stack)
        return [*position[:axis], chosen, *position[axis + 1 :]]

    others = {"updates": updates} if starts is None else {"updates": updates, "starts": starts}
    _scatter(lowering, group, cache, others, target)


def max_unpool(lowering: Lowering, group: Group) -> None:
    """MaxUnpool: each element goes back to the flat index it was taken from, counted in the pooling's input."""
    x, indices = (lowering.view(input_value(group.anchor, i)) for i in (0, 1))
    result = _result(group)
    pooled = (*result.shape[:2], *_unpooled_size(group, x.shape[2:]))
    elements = math.prod(pooled)

    def target(kernel: Kernel, position: list[Expr], stack: ExitStack) -> list[Expr]:
        rest = checked(kernel["indices"][at(indices, position)], elements, _where(group), stack)
        place: list[Expr] = []
        for extent in reversed(pooled):
            place.insert(0, tirx.floormod(rest, extent))
            rest = tirx.floordiv(rest, extent)
        return place

    _scatter(lowering, group, None, {"indices": indices, "updates": x}, target)


def _unpooled_size(group: Group, size: tuple[int, ...]) -> list[int]:
    """The spatial size that the pooling's attributes give."""
    attributes, rank = group.anchor.attributes, len(size)
    kernel = attributes.get_ints("kernel_shape", [])
    strides = attributes.get_ints("strides", [1] * rank)
    pads = attributes.get_ints("pads", [0] * 2 * rank)
    return [(n - 1) * strides[i] - pads[i] - pads[i + rank] + kernel[i] for i, n in enumerate(size)]


def scan(lowering: Lowering, group: Group) -> None:
    """CumSum, CumProd."""
    node = group.anchor
    x, result = lowering.view(input_value(node, 0)), _result(group)
    axis = (constant_ints(node, 1) or [0])[0] % len(x.shape)
    exclusive, reverse = (node.attributes.get_int(name, 0) == 1 for name in ("exclusive", "reverse"))
    kind, start = ("add", 0) if node.op_type == "CumSum" else ("mul", 1)
    total = COMBINE[kind]
    function = scan_function(lowering.machine, x, result, axis, total, start, exclusive=exclusive, reverse=reverse)
    _define(lowering, group, function, [x], result)


def top(lowering: Lowering, group: Group) -> None:
    """TopK; the elements come in order whether or not `sorted` is set."""
    node = group.anchor
    x = lowering.view(input_value(node, 0))
    shape = static_shape(group.output)
    axis = node.attributes.get_int("axis", -1) % len(shape)
    values, indices = View.dense(None, x.dtype, shape), View.dense(None, "int64", shape)
    largest = node.attributes.get_int("largest", 1) == 1
    if shape[axis] > MOST_INSERTED and x.dtype in SORTED:
        function = sorted_top_function(lowering.machine, x, values, indices, axis, largest=largest)
    else:
        function = top_function(x, values, indices, axis, largest=largest)
    buffers = lowering.call_all(function, [x], [values, indices])
    for output, view, buffer in zip(node.outputs, (values, indices), buffers, strict=False):
        lowering.define(output, View.dense(buffer, view.dtype, shape))


def _scatter(lowering: Lowering, group: Group, data: View | None, others: dict[str, View], target: Target) -> None:
    result = _result(group)
    combine = COMBINE[group.anchor.attributes.get_string("reduction", "none")]
    function = scatter_function(lowering.machine, data, others, result, target, combine)
    _define(lowering, group, function, [*([] if data is None else [data]), *others.values()], result)


def _result(group: Group) -> View:
    return View.dense(None, static_dtype(group.output), static_shape(group.output))


def _define(lowering: Lowering, group: Group, function: Handle, inputs: Sequence[View], result: View) -> None:
    buffer = lowering.call(function, inputs, result.size, result.dtype)
    lowering.define(group.output, View.dense(buffer, result.dtype, result.shape))


def _where(group: Group) -> str:
    return f"node '{group.anchor.name}' ({group.anchor.op_type})"
