"""The generic route for operators without a kernel of their own: a tensor expression with a plain CPU schedule.

An entry of these tables is a function from a node and its inputs, as TE tensors of the node's shapes, to its outputs.
Inputs are read through their views; outputs are written row-major.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import onnx_ir as ir
from tvm import relax, s_tir, te

from graphprune.backends.tvm.fusion import Group
from graphprune.backends.tvm.kernels.builder import NAME, Expr, Machine
from graphprune.backends.tvm.lowering import Lower, Lowering
from graphprune.backends.tvm.view import Handle, View, row_major

Tensor = Handle
"""A TE tensor."""

Compute = Callable[[ir.Node, Sequence[Tensor | None]], Sequence[Tensor]]
"""From a node and its inputs to its outputs, in order; None is an optional input that is absent."""


def lower_with(compute: Compute) -> Lower:
    """The lowering of an operator that `compute` expresses."""

    def lower(lowering: Lowering, group: Group) -> None:
        node = group.anchor
        views = [None if value is None else lowering.view(value) for value in node.inputs]
        present = [view for view in views if view is not None]
        flat = [te.placeholder((max(v.size, 1),), v.dtype, f"x{i}") for i, v in enumerate(present)]
        read = iter(_read(view, buffer) for view, buffer in zip(present, flat, strict=True))
        results = [_at_least_1d(y) for y in compute(node, [None if view is None else next(read) for view in views])]
        function = _scheduled(te.create_prim_func([*flat, *results]), lowering.machine)
        buffers = _call(lowering, function.with_attr(NAME, node.op_type.lower()), present, results)
        for value, result, buffer in zip(node.outputs, results, buffers, strict=False):
            shape = tuple(int(n) for n in value.shape or ())  # type: ignore[arg-type]
            lowering.define(value, View.dense(buffer, str(result.dtype), shape))

    return lower


def shape_of(tensor: Tensor) -> tuple[int, ...]:
    """The static shape of a TE tensor."""
    return tuple(int(n) for n in tensor.shape)


def accumulator(dtype: str) -> str:
    """The dtype in which sums of this dtype are formed."""
    return "float32" if dtype in ("float16", "bfloat16") else dtype


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


def _call(lowering: Lowering, function: Handle, inputs: Sequence[View], results: Sequence[Tensor]) -> list[Handle]:
    """Emit the call; each output is one flat buffer."""
    sizes = [math.prod(shape_of(result)) for result in results]
    if len(results) == 1:
        return [lowering.call(function, inputs, sizes[0], str(results[0].dtype))]
    name = lowering.builder.add_func(function, str(function.attrs[NAME]))
    types = [relax.TensorType((size,), str(y.dtype)) for size, y in zip(sizes, results, strict=True)]
    call = relax.call_tir(name, relax.Tuple([view.buffer for view in inputs]), types)
    both = lowering.builder.emit(call)
    return [lowering.builder.emit(relax.TupleGetItem(both, i)) for i in range(len(results))]


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
    return schedule.mod["main"].without_attr("global_symbol").with_attr("tirx.noalias", True)  # noqa: FBT003


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
        strides = row_major([int(n) for n in region.buffer.shape])

        def place(*position: Expr, strides: tuple[int, ...] = strides) -> Expr:
            return sum((p * s for p, s in zip(position, strides, strict=True)), start=0)

        schedule.transform_layout(block, ("write", index), place)


def _order_loops(schedule: Handle, block: Handle, machine: Machine) -> None:
    """Put the last output axis innermost, as vectors, below the axes summed over; outer axes go to the threads."""
    loops = schedule.get_loops(block)
    axes = [int(axis.iter_type) for axis in schedule.get(block).iter_vars]
    if len(loops) != len(axes) or not loops or any(kind not in (0, 2) for kind in axes):
        return
    spatial = [loop for loop, kind in zip(loops, axes, strict=True) if kind == 0]
    reduced = [loop for loop, kind in zip(loops, axes, strict=True) if kind != 0]
    extent = int(schedule.get(spatial[-1]).extent) if spatial else 0
    if reduced and extent >= machine.lanes and len(schedule.get(block).writes) == 1:
        outer, inner = schedule.split(spatial[-1], [None, machine.lanes])
        schedule.reorder(*spatial[:-1], outer, *reduced, inner)
        if extent % machine.lanes == 0:
            schedule.vectorize(inner)
        spatial = [*spatial[:-1], outer]
        schedule.decompose_reduction(block, reduced[0])
    if machine.threads > 1 and spatial and int(schedule.get(spatial[0]).extent) > 1:
        schedule.parallel(spatial[0])
