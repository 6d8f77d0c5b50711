"""Operators that pick elements by position."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from tvm import te, tirx

from graphprune.backends.tvm.kernels.builder import Expr
from graphprune.backends.tvm.operators.te import Expression, Tensor, shape_of


def triangle(e: Expression) -> Sequence[Tensor]:
    """Trilu."""
    x, upper = e[0], e.node.attributes.get_int("upper", 1) == 1
    diagonal = _known_int(e.node, 1, 0)

    def element(*index: Expr) -> Expr:
        distance = index[-1] - index[-2]
        kept = distance >= diagonal if upper else distance <= diagonal
        return tirx.Select(kept, x(*index), tirx.const(0, x.dtype))

    return [te.compute(shape_of(x), element, "triangle")]


def _known_int(node: ir.Node, index: int, default: int) -> int:
    value = node.inputs[index] if index < len(node.inputs) else None
    if value is None:
        return default
    assert value.const_value is not None
    return int(np.asarray(value.const_value.numpy()).item())


def one_hot(e: Expression) -> Sequence[Tensor]:
    """OneHot: an index outside the depth marks nothing."""
    indices, values = e[0], e[2]
    rank = len(shape_of(indices))
    depth = _known_int(e.node, 1, 0)
    axis = e.node.attributes.get_int("axis", -1) % (rank + 1)
    shape = (*shape_of(indices)[:axis], depth, *shape_of(indices)[axis:])

    def element(*index: Expr) -> Expr:
        given = indices(*index[:axis], *index[axis + 1 :]).astype("int64")
        wanted = tirx.Select(given < 0, given + depth, given)
        return tirx.Select(tirx.EQ(wanted, index[axis].astype("int64")), values[1], values[0])

    return [te.compute(shape, element, "one_hot")]


def reverse_sequence(e: Expression) -> Sequence[Tensor]:
    """ReverseSequence; a length beyond the axis reverses all of it."""
    x, lengths = e[0], e[1]
    batch, time = (e.node.attributes.get_int(name, d) for name, d in (("batch_axis", 1), ("time_axis", 0)))
    extent = shape_of(x)[time]

    def element(*index: Expr) -> Expr:
        length = tirx.min(lengths[index[batch]].astype("int32"), tirx.const(extent, "int32"))
        place = list(index)
        place[time] = tirx.Select(index[time] < length, length - 1 - index[time], index[time])
        return x(*place)

    return [te.compute(shape_of(x), element, "reversed")]
