"""Evaluation of the element-wise nodes of a group, one element at a time, inside the kernel they are fused into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import onnx_ir as ir

from graphprune.backends.tvm.kernels.builder import Expr, Flat, Kernel, bind
from graphprune.backends.tvm.kernels.epilogue import Epilogue, Position, no_epilogue
from graphprune.backends.tvm.kernels.math import dtype_of
from graphprune.backends.tvm.kernels.opaque import opaque, opaque_literal, rounded
from graphprune.backends.tvm.kernels.view import View, merged_stride
from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import Lowering, constant_array, is_constant, static_dtype, static_shape
from graphprune.backends.tvm.operators.scalar import CHANNEL_OPERANDS, SCALAR


@dataclass
class Region:
    """The element-wise nodes of a group and the operands they load.

    `views` are broadcast to the group's shape; a constant of one element is a literal instead.
    """

    nodes: Sequence[ir.Node]
    views: dict[tuple[ir.Value, bool], View] = field(default_factory=dict)
    literals: dict[ir.Value, Expr] = field(default_factory=dict)

    def evaluate(self, loads: dict[tuple[ir.Value, bool], Expr], inner: dict[ir.Value, Expr]) -> Expr:
        """The last node's value for one element, given each operand's element and the values computed before."""
        results = dict(inner)
        result: Expr = None
        for node in self.nodes:
            arguments = [self._argument(node, i, loads, results) for i in range(len(node.inputs))]
            result = opaque(SCALAR[node.op_type](node, arguments))
            if node is not self.nodes[-1]:
                result = _shared(node.outputs[0], rounded(result))
            results[node.outputs[0]] = result
        return result

    def _argument(
        self, node: ir.Node, index: int, loads: dict[tuple[ir.Value, bool], Expr], results: dict[ir.Value, Expr]
    ) -> Expr | None:
        value = node.inputs[index]
        if value is None:
            return None
        if value in results:
            return results[value]
        return self.literals[value] if value in self.literals else loads[_key(node, index)]


def _shared(value: ir.Value, element: Expr) -> Expr:
    """Compute an element once if several nodes read it, unless boolean: TVM cannot name a vector of those."""
    return bind(element) if len(value.uses()) > 1 and dtype_of(element) != "bool" else element


def _key(node: ir.Node, index: int) -> tuple[ir.Value, bool]:
    """An operand and whether it is a vector along the channel axis rather than broadcast as NumPy does."""
    value = node.inputs[index]
    assert value is not None
    return value, index in CHANNEL_OPERANDS.get(node.op_type, ())


def region_of(lowering: Lowering, nodes: Sequence[ir.Node], computed: Sequence[ir.Value]) -> Region:
    """Collect the operands of these nodes; `computed` are values that the kernel itself provides."""
    region = Region(nodes)
    inner = {*computed, *(node.outputs[0] for node in nodes)}
    for node in nodes:
        shape = static_shape(node.outputs[0])
        for index, value in enumerate(node.inputs):
            if value is None or value in inner:
                continue
            if is_constant(value) and value.const_value is not None and value.const_value.size == 1:
                region.literals[value] = opaque_literal(constant_array(value).item(), static_dtype(value))
            else:
                key = _key(node, index)
                region.views[key] = _operand(lowering.view(value), shape, along_channels=key[1])
    return region


def _operand(view: View, shape: Sequence[int], *, along_channels: bool) -> View:
    if along_channels:
        view = replace(
            view, shape=(*view.shape, *[1] * (len(shape) - 2)), strides=(*view.strides, *[0] * (len(shape) - 2))
        )
    return view.broadcast(shape)


@dataclass(frozen=True)
class FusedEpilogue:
    """A group's bias and region as an epilogue of a plane kernel, with the buffers it reads."""

    arguments: list[Flat]
    views: list[View]
    apply: Epilogue
    dtype: str


NO_EPILOGUE = FusedEpilogue([], [], no_epilogue, "float32")
"""The sums themselves."""


def plane_epilogue(
    lowering: Lowering,
    group: Group,
    axes: tuple[Sequence[int], ...],
    bias: View | None = None,
    *,
    first: int = 0,
    vectors: int | None = None,
) -> FusedEpilogue:
    """The epilogue of a group whose kernel writes elements by (image, channel, position).

    `axes` are the logical axes of the output that make up each coordinate, outermost first, in coordinate order of the
    output's memory. `bias` is a view of the output's shape. Operands are numbered from `first` on. Vectors run along
    the logical axis `vectors`, if that is not the last one in memory.
    """
    region = region_of(lowering, group.region, group.anchor.outputs[:1])
    if vectors is not None:
        region.views = {key: _along(lowering, key[0], view, vectors) for key, view in region.views.items()}
    order = tuple(axis for coordinate in axes for axis in coordinate)
    operands = {key: _by_coordinate(lowering, view, axes, order) for key, view in region.views.items()}
    biased = None if bias is None else _by_coordinate(lowering, bias, axes, order)
    views = [*([biased[0]] if biased else []), *(view for view, _ in operands.values())]
    arguments = [Flat(f"operand{first + i}", view.size, view.dtype) for i, view in enumerate(views)]

    def apply(kernel: Kernel, value: Expr, position: Position) -> Expr:
        if biased:
            value = value + _load(kernel, first, biased, position)
        shift = first + 1 if biased else first
        loads = {key: _load(kernel, i + shift, o, position) for i, (key, o) in enumerate(operands.items())}
        if not region.nodes:
            return value
        return region.evaluate(loads, {group.anchor.outputs[0]: _shared(group.anchor.outputs[0], value)})

    return FusedEpilogue(arguments, views, apply, static_dtype(group.output))


def _along(lowering: Lowering, value: ir.Value, view: View, axis: int) -> View:
    """The operand with the elements along an axis next to each other, where that takes less than reading them apart."""
    if view.strides[axis] in (0, 1):
        return view
    own = replace(view, shape=tuple(n if step else 1 for n, step in zip(view.shape, view.strides, strict=True)))
    order = (*(each for each in own.memory_order() if each != axis), axis)
    if is_constant(value):
        array = constant_array(value).reshape(own.shape).transpose(order)
        own = View.dense(lowering.constant(array).buffer, view.dtype, own.shape, order)
    elif 2 * own.elements <= view.elements:
        own = lowering.copied(own, order)
    return own.broadcast(view.shape)


Operand = tuple[View, tuple[int, ...]]
"""A view and its stride along each coordinate."""


def _by_coordinate(lowering: Lowering, view: View, axes: tuple[Sequence[int], ...], order: tuple[int, ...]) -> Operand:
    """The operand with one stride a coordinate; it is rewritten in the output's own layout where it has none."""
    strides = _coordinate_strides(view, axes)
    if strides is None:
        view = lowering.dense(view, order)
        strides = _coordinate_strides(view, axes)
    assert strides is not None
    return view, strides


def _coordinate_strides(view: View, axes: tuple[Sequence[int], ...]) -> tuple[int, ...] | None:
    strides = [merged_stride([view.shape[a] for a in group], [view.strides[a] for a in group]) for group in axes]
    return None if None in strides else tuple(s for s in strides if s is not None)


def _load(kernel: Kernel, index: int, operand: Operand, position: Sequence[Expr]) -> Expr:
    view, strides = operand
    place: Expr = view.offset
    for coordinate, stride in zip(position, strides, strict=True):
        if stride:
            place = place + coordinate * stride
    return kernel[f"operand{index}"][place]
