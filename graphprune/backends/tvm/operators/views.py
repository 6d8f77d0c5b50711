"""Operators that only change the view of a buffer (shape, strides, offset); most cost nothing at run time."""

from __future__ import annotations

import onnx_ir as ir

from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import Lowering, constant_array, is_constant, static_shape
from graphprune.errors import BackendError


def input_value(node: ir.Node, index: int) -> ir.Value:
    """Input `index`, which the operator requires."""
    value = node.inputs[index]
    if value is None:
        raise BackendError(f"node '{node.name}' ({node.op_type}): input {index} is missing", code="GP404")
    return value


def constant_ints(node: ir.Node, index: int) -> list[int] | None:
    """A constant integer input as a list, or None if it is absent.

    Raises:
        BackendError: it is computed at run time.
    """
    value = node.inputs[index] if index < len(node.inputs) else None
    if value is None:
        return None
    if not is_constant(value):
        raise BackendError(f"node '{node.name}' ({node.op_type}): input '{value.name}' must be constant", code="GP405")
    return [int(i) for i in constant_array(value).ravel()]


def identity(lowering: Lowering, group: Group) -> None:
    """Identity, inference Dropout."""
    lowering.define(group.output, lowering.view(input_value(group.anchor, 0)))


def reshape(lowering: Lowering, group: Group) -> None:
    """Reshape, Flatten, Squeeze, Unsqueeze: free where strides express it, else one copy."""
    view = lowering.view(input_value(group.anchor, 0))
    lowering.define(group.output, lowering.reshaped(view, static_shape(group.output)))


def transpose(lowering: Lowering, group: Group) -> None:
    """Transpose."""
    view = lowering.view(input_value(group.anchor, 0))
    rank = len(view.shape)
    lowering.define(group.output, view.transpose(group.anchor.attributes.get_ints("perm", list(reversed(range(rank))))))


def expand(lowering: Lowering, group: Group) -> None:
    """Expand."""
    view = lowering.view(input_value(group.anchor, 0))
    lowering.define(group.output, view.broadcast(static_shape(group.output)))


def slice_(lowering: Lowering, group: Group) -> None:
    """Slice with constant bounds."""
    node = group.anchor
    view = lowering.view(input_value(node, 0))
    starts, ends = constant_ints(node, 1) or [], constant_ints(node, 2) or []
    axes = constant_ints(node, 3) or list(range(len(starts)))
    steps = constant_ints(node, 4) or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        chosen = range(*slice(start, end, step).indices(view.shape[axis]))
        view = view.slice(axis % len(view.shape), chosen.start, len(chosen), step)
    lowering.define(group.output, view)


def split(lowering: Lowering, group: Group) -> None:
    """Split in parts given by the outputs' shapes."""
    node = group.anchor
    view = lowering.view(input_value(node, 0))
    axis = node.attributes.get_int("axis", 0) % len(view.shape)
    start = 0
    for output in node.outputs:
        length = static_shape(output)[axis]
        lowering.define(output, view.slice(axis, start, length))
        start += length
