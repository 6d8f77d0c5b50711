"""Lowering of operators without a kernel of their own: a tensor expression with a plain CPU schedule.

An entry of these tables is a function from a node and its inputs, as TE tensors of the node's shapes, to its outputs.
Inputs are read through their views; outputs are written row-major.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir
import tvm
from tvm import s_tir, te, tirx

from graphprune.backends.tvm.kernels.builder import NAME, Expr, Machine
from graphprune.backends.tvm.kernels.view import Handle, View, row_major
from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import Lower, Lowering, static_shape
from graphprune.backends.tvm.operators.elementwise import elementwise
from graphprune.backends.tvm.program.recording import Array

Tensor = Handle
"""A TE tensor."""


class Expression:
    """One node as a tensor expression under construction: its inputs as TE tensors, None where absent."""

    def __init__(self, lowering: Lowering, node: ir.Node, replaced: Mapping[int, View]) -> None:
        self.node = node
        self._lowering = lowering
        self.views: list[View] = []
        self.buffers: list[Tensor] = []
        self.inputs = [
            None if value is None else self._add(replaced.get(index) or lowering.view(value))
            for index, value in enumerate(node.inputs)
        ]

    def __getitem__(self, index: int) -> Tensor:
        """Input `index`, which the operator requires."""
        return self.inputs[index]

    def get(self, index: int) -> Tensor | None:
        """Optional input `index`."""
        return self.inputs[index] if index < len(self.inputs) else None

    def table(self, array: Array) -> Tensor:
        """A constant, as a further input."""
        return self._add(self._lowering.constant(array))

    def _add(self, view: View) -> Tensor:
        if view.size == 0:  # nothing of it is read, but a buffer needs an element
            empty = self._lowering.constant(np.zeros(1, view.dtype))
            view = replace(empty, shape=view.shape, strides=view.strides)
        buffer = te.placeholder((view.size,), view.dtype, f"x{len(self.buffers)}")
        self.views.append(view)
        self.buffers.append(buffer)
        return _read(view, buffer)


Compute = Callable[[Expression], Sequence[Tensor]]
"""The outputs of a node, in order."""

Replace = Callable[[Lowering, ir.Node], Mapping[int, View]]
"""What to read for some inputs instead of them: indices that were checked."""


def lower_with(compute: Compute, replace_inputs: Replace = lambda _lowering, _node: {}) -> Lower:
    """The lowering of an operator that `compute` expresses."""

    def lower(lowering: Lowering, group: Group) -> None:
        node = group.anchor
        expression = Expression(lowering, node, replace_inputs(lowering, node))
        results = [_at_least_1d(result) for result in compute(expression)]
        function = te.create_prim_func([*expression.buffers, *results])
        function = _scheduled(function, lowering.machine).with_attr(NAME, node.op_type.lower())
        views = [View.dense(None, str(result.dtype), shape_of(result)) for result in results]
        if len(views) == 1:
            buffers = [lowering.call(function, expression.views, views[0].size, views[0].dtype)]
        else:
            buffers = lowering.call_all(function, expression.views, views)
        for value, view, buffer in zip(node.outputs, views, buffers, strict=False):
            lowering.define(value, View.dense(buffer, view.dtype, static_shape(value)))
        if group.region:
            elementwise(lowering, Group(group.region[0], group.region[1:]))

    return lower


def shape_of(tensor: Tensor) -> tuple[int, ...]:
    """The static shape of a TE tensor."""
    return tuple(int(n) for n in tensor.shape)


def _read(view: View, buffer: Tensor) -> Tensor:
    """The logical tensor inside a flat buffer."""

    def element(*index: Expr) -> Expr:
        place: Expr = view.offset
        for i, stride in zip(index, view.strides, strict=True):
            place = place + i * stride if stride else place
        return buffer[place]

    return te.compute(view.shape, element, "view")


def _at_least_1d(tensor: Tensor) -> Tensor:
    return tensor if len(tensor.shape) else te.compute((1,), lambda _i: tensor(), "scalar")


def _scheduled(function: Handle, machine: Machine) -> Handle:
    """Inline what only moves or maps elements, flatten the outputs, and order the loops for one core or several."""
    schedule = s_tir.Schedule(function)
    root = schedule.get_sblock("root")
    outputs = {schedule.get(block).name_hint for block in schedule.get_output_blocks(root)}
    for block in schedule.get_child_blocks(root):
        if schedule.get(block).name_hint in outputs:
            _flatten(schedule, block)
        elif _is_injective(schedule, block):
            _try_inline(schedule, block)
    for block in schedule.get_child_blocks(root):
        _order_loops(schedule, block, machine)
    return _without_blocks(schedule.mod)["main"].without_attr("global_symbol").with_attr("tirx.noalias", True)  # noqa: FBT003


def _without_blocks(module: Handle) -> Handle:
    """The same as loops over flat buffers, which is what the kernels that are emitted here are."""
    s = s_tir.transform
    passes = [
        s.CanonicalizeLoop(),
        s.LowerInitBlock(),
        s.PlanAndUpdateBufferAllocationLocation(),
        s.ConvertBlocksToOpaque(),
        s.CompactBufferAllocation(),
        s.LowerMatchBuffer(),
        s.StmtSimplify(),
        s.AnnotateIrregularLoop(),
        s.LowerOpaqueBlock(),
        tirx.transform.FlattenBuffer(),
    ]
    return tvm.transform.Sequential(passes)(module)


def _is_injective(schedule: Handle, block: Handle) -> bool:
    return all(int(axis.iter_type) == 0 for axis in schedule.get(block).iter_vars)


def _try_inline(schedule: Handle, block: Handle) -> None:
    """Inline a block, unless TVM finds that it is not one expression of its axes."""
    try:
        schedule.compute_inline(block)
    except s_tir.ScheduleError:
        return


def _flatten(schedule: Handle, block: Handle) -> None:
    """Make the outputs of a block one-dimensional, row-major."""
    for index, region in enumerate(schedule.get(block).writes):
        strides = row_major([int(n) for n in region.source.shape])
        schedule.transform_layout(block, ("write", index), _dot(strides))


def _dot(strides: Sequence[int]) -> Callable[..., Expr]:
    """The place in a flat buffer of a position; it takes one argument an axis."""

    def place(*position: Expr) -> Expr:
        return sum((p * s for p, s in zip(position, strides, strict=True)), start=0)

    return place


def _order_loops(schedule: Handle, block: Handle, machine: Machine) -> None:
    """Put the last output axis innermost, as vectors, below the axes summed over; outer axes go to the threads."""
    loops = schedule.get_loops(block)
    axes = [int(axis.iter_type) for axis in schedule.get(block).iter_vars]
    if len(loops) != len(axes) or not loops or any(kind not in (0, 2) for kind in axes):
        return
    spatial = [loop for loop, kind in zip(loops, axes, strict=True) if kind == 0]
    reduced = [loop for loop, kind in zip(loops, axes, strict=True) if kind != 0]
    extent = int(schedule.get(spatial[-1]).extent) if spatial else 0
    is_split = bool(reduced) and extent >= machine.lanes and len(schedule.get(block).writes) == 1
    if is_split:
        outer, inner = schedule.split(spatial[-1], [None, machine.lanes])
        schedule.reorder(*spatial[:-1], outer, *reduced, inner)
        if extent % machine.lanes == 0:
            schedule.vectorize(inner)
        spatial = [*spatial[:-1], outer]
    if machine.threads > 1 and spatial and int(schedule.get(spatial[0]).extent) > 1:
        schedule.parallel(spatial[0])
    if is_split:  # last, because TVM shares no loop around a sum that is apart from its first value
        schedule.decompose_reduction(block, reduced[0])
