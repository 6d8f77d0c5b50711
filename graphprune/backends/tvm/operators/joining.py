"""Concat, Gather and GatherND: results copied from parts of tensors."""

from __future__ import annotations

import math
from dataclasses import replace

from graphprune.backends.tvm.kernels.elementwise import concat_function
from graphprune.backends.tvm.kernels.gather import gather_function, gather_nd_function
from graphprune.backends.tvm.kernels.view import Handle, View, join_views
from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import Lowering, constant_array, is_constant, static_dtype, static_shape
from graphprune.backends.tvm.operators.views import input_value


def concat(lowering: Lowering, group: Group) -> None:
    """Concat: a view where the parts lie one after another, else copied in the planned order or the first one's."""
    node, shape, dtype = group.anchor, static_shape(group.output), static_dtype(group.output)
    parts = [lowering.view(value) for value in node.inputs if value is not None and 0 not in static_shape(value)]
    axis = node.attributes.get_int("axis", 0) % len(shape)
    if (joined := join_views(parts, axis)) is not None:
        lowering.define(group.output, joined)
        return
    order = lowering.order(group.output)
    result = View.dense(None, dtype, shape, order)
    sections, start = [], 0
    for part in parts:
        sections.append(result.slice(axis, start, part.shape[axis]))
        start += part.shape[axis]
    buffer = lowering.call(concat_function(lowering.machine, parts, sections), parts, result.size, dtype)
    lowering.define(group.output, View.dense(buffer, dtype, shape, order))


def gather(lowering: Lowering, group: Group) -> None:
    """Gather: a view where the indices are a constant range, else rows copied one by one."""
    node, shape = group.anchor, static_shape(group.output)
    x = lowering.view(input_value(node, 0))
    axis = node.attributes.get_int("axis", 0) % len(x.shape)
    chosen = _constant_range(group, x.shape[axis])
    if chosen is not None:
        view = x.slice(axis, chosen.start, len(chosen), chosen.step).reshape(shape)
        if view is not None:
            lowering.define(group.output, view)
            return
    indices = lowering.view(input_value(node, 1))
    line = lowering.reshaped(indices, (indices.elements,))
    flat = lowering.reshaped(x, (math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])))
    function = gather_function(lowering.machine, flat, line, node.name or "")
    _pick(lowering, group, function, flat, line)


def gather_nd(lowering: Lowering, group: Group) -> None:
    """GatherND without batch axes."""
    node = group.anchor
    x, indices = (lowering.view(input_value(node, i)) for i in (0, 1))
    depth = indices.shape[-1]
    table = lowering.reshaped(x, (*x.shape[:depth], math.prod(x.shape[depth:])))
    lines = lowering.reshaped(indices, (math.prod(indices.shape[:-1]), depth))
    function = gather_nd_function(lowering.machine, table, lines, node.name or "")
    _pick(lowering, group, function, table, lines)


def _pick(lowering: Lowering, group: Group, function: Handle, table: View, indices: View) -> None:
    """Emit the call of a function that reads as many elements of `table` as it writes."""
    result = View.dense(None, table.dtype, static_shape(group.output))
    buffer = lowering.call(function, [table, indices], result.size, result.dtype, read=[result, indices])
    lowering.define(group.output, replace(result, buffer=buffer))


def _constant_range(group: Group, rows: int) -> range | None:
    """The chosen rows, if they are known and evenly spaced."""
    value = input_value(group.anchor, 1)
    if not is_constant(value):
        return None
    chosen = [int(i) + rows if i < 0 else int(i) for i in constant_array(value).ravel()]
    step = chosen[1] - chosen[0] if len(chosen) > 1 else 1
    if step == 0:
        return None
    spaced = range(chosen[0], chosen[0] + step * len(chosen), step)
    return spaced if list(spaced) == chosen and 0 <= min(chosen) <= max(chosen) < rows else None
