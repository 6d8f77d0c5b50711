"""Channels that can be scaled: what makes them takes a factor, and what reads them takes it back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.analysis.constants import constant_tensor
from graphprune.diagnostics import Skip
from graphprune.graph.nodes import describe

Array = npt.NDArray[Any]

_NORMS = frozenset({"LayerNormalization", "RMSNormalization"})
_HOMOGENEOUS = frozenset({"AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LeakyRelu", "MaxPool", "PRelu", "Relu"})
"""What a positive factor of a channel goes through."""

_MATRIX = 2
_PLANES, _ROWS = 1, -1
"""The axis of channels: of feature maps, and of what matrices multiply."""


class _RefusedError(Exception):
    """Channels that cannot be scaled: the code, and why."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True)
class Operand:
    """A constant that one node alone reads, and where the channels lie in it.

    Attributes:
        value: The constant.
        shape: A shape of it in which the channels are whole axes.
        axes: These axes; all their indices, in this order, are the channels.
    """

    value: ir.Value
    shape: tuple[int, ...]
    axes: tuple[int, ...]

    def largest(self, array: Array) -> Array:
        """Return the largest magnitude of each channel, [channels]."""
        others = tuple(axis for axis in range(len(self.shape)) if axis not in self.axes)
        found: Array = np.abs(array.reshape(self.shape)).max(axis=others, initial=0).reshape(-1)
        return found

    def scaled(self, array: Array, factors: Array) -> Array:
        """Return the array with each channel times its factor."""
        along = [extent if axis in self.axes else 1 for axis, extent in enumerate(self.shape)]
        scaled: Array = array.reshape(self.shape) * factors.astype(array.dtype).reshape(along)
        return scaled.reshape(array.shape)


@dataclass(frozen=True)
class ScalableChannels:
    """The channels of a value.

    Attributes:
        name: Of the value.
        makers: The weight or scale that makes each channel, and what is added to that.
        readers: The weights that multiply the channels.
        read: What these multiply.
        axis: Along which the channels lie there.
    """

    name: str
    makers: tuple[Operand, ...]
    readers: tuple[Operand, ...]
    read: tuple[ir.Value, ...]
    axis: int

    @property
    def size(self) -> int:
        """The number of channels."""
        maker = self.makers[0]
        return math.prod(maker.shape[axis] for axis in maker.axes)


def scalable_channels(model: ir.Model) -> tuple[list[ScalableChannels], list[Skip]]:
    """Return the channels of the main graph that can be scaled, in its order, and why others cannot.

    Made by a Conv, Gemm, MatMul (with the Add behind it), LayerNormalization, RMSNormalization or a Mul by a constant;
    read by nothing but Conv, Gemm and MatMul, perhaps behind what commutes with a positive factor.
    """
    found, skips = [], []
    for node in model.graph:
        try:
            if (made := _made(node)) is not None:
                value, axis, makers = made
                readers = list(_readers(value, axis))
                operands, read = (tuple(each) for each in zip(*readers, strict=True))
                found.append(ScalableChannels(str(value.name), makers, operands, tuple(dict.fromkeys(read)), axis))
        except _RefusedError as refused:
            skips.append(Skip(refused.code, node.name or str(node.outputs[0].name), str(refused)))
    return found, skips


def _made(node: ir.Node) -> tuple[ir.Value, int, tuple[Operand, ...]] | None:
    """What a node makes by constants, the axis of its channels, and these constants; None if it does not."""
    if node.domain or len(node.outputs) == 0:
        return None
    output, weight = node.outputs[0], _constant(node, 1)
    if node.op_type in {"Conv", "Gemm"} and weight is not None:
        is_planes = node.op_type == "Conv"
        rows = 0 if is_planes else 1 - node.attributes.get_int("transB", 0)
        return output, _PLANES if is_planes else _ROWS, (_along(node, weight, rows), *_vector(node, 2))
    if node.op_type == "MatMul" and weight is not None and len(weight.perm) == _MATRIX:
        value, added = _with_sum(output)
        return value, _ROWS, (_along(node, weight, 1), *added)
    if node.op_type in _NORMS and _is_over_rows(node):
        return output, _ROWS, (*_vector(node, 1), *_vector(node, 2))
    if node.op_type == "Mul" and (scales := [each for index in (0, 1) for each in _factor(node, index)]):
        value, added = _with_sum(output)
        return value, _ROWS, (*scales, *added)
    return None


def _readers(value: ir.Value, axis: int) -> Iterator[tuple[Operand, ir.Value]]:
    """The weights that multiply the channels of a value, each with what it multiplies."""
    if value.is_graph_output():
        raise _RefusedError("GP398", f"'{value.name}' is an output of the graph")
    for node, index in value.uses():
        if index == 0 and _commutes(node, axis):
            yield from _readers(node.outputs[0], axis)
        else:
            yield _reader(node, index, axis), value


def _commutes(node: ir.Node, axis: int) -> bool:
    if node.domain or len(node.outputs) != 1:
        return False
    if node.op_type == "Reshape" and axis == _ROWS:
        extents = [_extent(value, _ROWS) for value in (node.inputs[0], node.outputs[0])]
        return extents[0] == extents[1] is not None
    return node.op_type in _HOMOGENEOUS and (axis == _PLANES or "Pool" not in node.op_type)


def _reader(node: ir.Node, index: int, axis: int) -> Operand:
    kinds = {"Conv"} if axis == _PLANES else {"Gemm", "MatMul"}
    weight = _constant(node, 1) if node.op_type in kinds and not node.domain and index == 0 else None
    if weight is None or node.attributes.get_int("transA", 0) != 0 or (axis == _ROWS and len(weight.perm) != _MATRIX):
        raise _RefusedError("GP398", f"{describe(node)} reads them, and cannot take a factor back")
    if axis == _ROWS:
        return _along(node, weight, node.attributes.get_int("transB", 0))
    operand, groups = _along(node, weight, 1), node.attributes.get_int("group", 1)
    outputs, inputs, *kernel = operand.shape
    return Operand(operand.value, (groups, outputs // groups, inputs, math.prod(kernel)), (0, 2))


def _with_sum(output: ir.Value) -> tuple[ir.Value, tuple[Operand, ...]]:
    """A product, or what it is once a constant for each channel is added, with that constant."""
    uses = list(output.uses())
    if len(uses) != 1 or output.is_graph_output() or uses[0].node.op_type != "Add" or uses[0].node.domain:
        return output, ()
    add, index = uses[0].node, 1 - uses[0].idx
    added = tuple(_factor(add, index))
    return (add.outputs[0], added) if added else (output, ())


def _factor(node: ir.Node, index: int) -> Iterator[Operand]:
    """The constant that a node adds or multiplies each channel of rows by."""
    constant = _constant(node, index)
    if constant is not None and len(constant.perm) == 1 and constant.shape[0] == _extent(node.outputs[0], _ROWS):
        yield _along(node, constant, 0)


def _vector(node: ir.Node, index: int) -> Iterator[Operand]:
    """An operand of one number for each channel, if there is one."""
    if index >= len(node.inputs) or node.inputs[index] is None:
        return
    constant = _constant(node, index)
    if constant is None or max(constant.shape, default=1) != math.prod(constant.shape) or not constant.shape:
        raise _RefusedError("GP399", f"input {index} of {describe(node)} is not one constant for each channel")
    yield _along(node, constant, constant.shape.index(max(constant.shape)))


@dataclass(frozen=True)
class _Constant:
    """A constant that a node reads, perhaps transposed.

    Attributes:
        path: The constant, then what it is on its way to the node.
        perm: Axis `i` of the operand is axis `perm[i]` of the constant.
        shape: Of the constant.
        dtype: Likewise.
    """

    path: tuple[ir.Value, ...]
    perm: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: ir.DataType


def _constant(node: ir.Node, index: int) -> _Constant | None:
    value = node.inputs[index] if index < len(node.inputs) else None
    turn = None if value is None else value.producer()
    is_turned = turn is not None and turn.op_type == "Transpose" and not turn.domain
    source = turn.inputs[0] if turn is not None and is_turned else value
    tensor = constant_tensor(source)
    if value is None or source is None or tensor is None:
        return None
    shape = tuple(tensor.shape.numpy())
    axes = tuple(range(len(shape)))
    perm = tuple(turn.attributes.get_ints("perm", axes[::-1])) if turn is not None and is_turned else axes
    return _Constant((source, value), perm, shape, tensor.dtype)


def _along(node: ir.Node, constant: _Constant, axis: int) -> Operand:
    """A constant with the channels along an axis of the operand; refused where anything else reads it."""
    source = constant.path[0]
    if any(len(value.uses()) != 1 or value.is_graph_output() for value in constant.path):
        raise _RefusedError("GP399", f"'{source.name}', which {describe(node)} reads, is read by others too")
    if constant.dtype is not ir.DataType.FLOAT:
        raise _RefusedError("GP399", f"'{source.name}', which {describe(node)} reads, is of {constant.dtype}")
    return Operand(source, constant.shape, (constant.perm[axis],))


def _is_over_rows(norm: ir.Node) -> bool:
    rank = None if norm.inputs[0] is None or norm.inputs[0].shape is None else norm.inputs[0].shape.rank()
    return norm.attributes.get_int("axis", -1) in {-1, None if rank is None else rank - 1}


def _extent(value: ir.Value | None, axis: int) -> int | None:
    shape = None if value is None else value.shape
    extent = shape[axis] if shape is not None and shape.rank() > 0 else None
    return extent if isinstance(extent, int) else None
