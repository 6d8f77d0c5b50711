"""Element-wise kernels over strided views: loops over the fewest axes that all operands allow."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Flat,
    Kernel,
    Machine,
    bind,
    build_function,
    lanes,
    loop,
    store,
)
from graphprune.backends.tvm.kernels.elements import lanes_of
from graphprune.backends.tvm.kernels.transpose import Transposition, find_turn
from graphprune.backends.tvm.kernels.view import View, coalesce

Compute = Callable[[Sequence[Expr]], Expr]
"""From one element of each operand to one element of the result."""


def elementwise_function(name: str, machine: Machine, operands: Sequence[View], result: View, compute: Compute) -> Expr:
    """The TIR function (x0, x1, ..., y): `y = compute(x0, x1, ...)`, each operand of the result's shape."""

    def body(kernel: Kernel) -> None:
        buffers = [kernel[f"x{i}"] for i in range(len(operands))]
        emit_elementwise(machine, buffers, operands, kernel["y"], result, compute)

    return build_function(name, [*_arguments(operands), Flat("y", result.size, result.dtype)], body)


def concat_function(machine: Machine, parts: Sequence[View], sections: Sequence[View]) -> Expr:
    """The TIR function (x0, x1, ..., y) that copies each part to its section of one result."""

    def body(kernel: Kernel) -> None:
        for i, (part, section) in enumerate(zip(parts, sections, strict=True)):
            emit_elementwise(machine, [kernel[f"x{i}"]], [part], kernel["y"], section, lambda x: x[0])

    return build_function("concat", [*_arguments(parts), Flat("y", sections[0].size, sections[0].dtype)], body)


def _arguments(operands: Sequence[View]) -> list[Flat]:
    return [Flat(f"x{i}", view.size, view.dtype) for i, view in enumerate(operands)]


def emit_elementwise(
    machine: Machine,
    buffers: Sequence[Expr],
    operands: Sequence[View],
    y: Expr,
    result: View,
    compute: Compute,
    origin: Expr = 0,
) -> None:
    """One loop nest over the result, at `y[origin:]`, its fastest axis innermost and in vectors."""
    order = result.memory_order()
    views = [*operands, result]
    extents, steps = coalesce([result.shape[a] for a in order], [[view.strides[a] for a in order] for view in views])
    starts = [*(view.offset for view in operands), result.offset + origin]
    side = min(machine.lanes, *(lanes_of(machine, view.dtype) for view in views))
    turn = find_turn(tuple(extents), steps[:-1], steps[-1], side) if _can_be_turned(views) else None
    if turn is not None:
        transposition = Transposition(side, tuple(extents), steps, turn, parallel=machine.threads > 1)
        transposition.emit(buffers, starts, y, compute)
        return
    extents, steps = _split_for_threads(extents, steps, machine)
    width = _width(machine, views, [s[-1] for s in steps])

    def nest(axis: int, starts: list[Expr]) -> None:
        if axis == len(extents) - 1:
            inner = [s[axis] for s in steps]

            def element(i: Expr) -> None:
                places = [start + i * step for start, step in zip(starts, inner, strict=True)]
                loads = [b[p] for b, p in zip(buffers, places[:-1], strict=True)]
                store(y, places[-1], compute(loads))

            lanes(extents[axis], width, element)
            return
        with loop(extents[axis], parallel=axis == 0 and machine.threads > 1) as i:
            nest(axis + 1, [bind(start + i * s[axis]) for start, s in zip(starts, steps, strict=True)])

    nest(0, starts)


def _can_be_turned(views: Sequence[View]) -> bool:
    """Whether vectors of all elements can be shuffled."""
    return not any(view.dtype in {"bool", "bfloat16"} for view in views)


def _width(machine: Machine, views: Sequence[View], steps: Sequence[int]) -> int:
    """Elements computed together: more of narrow types, where all of them lie next to each other."""
    if any(map(_resists_vectors, views[:-1], steps)):
        return 1
    if any(step not in (0, 1) for step in steps):
        return machine.lanes
    return max(machine.lanes, min(lanes_of(machine, view.dtype) for view in views))


def _resists_vectors(view: View, stride: int) -> bool:
    """True for a repeated bfloat16, which TVM cannot store in a vector."""
    return view.dtype == "bfloat16" and stride == 0


def copy_function(machine: Machine, source: View, result: View) -> Expr:
    """The TIR function (x0, y) that writes the view `source` as the view `result`."""
    return elementwise_function("copy", machine, [source], result, lambda x: x[0])


def _split_for_threads(
    extents: list[int], steps: list[list[int]], machine: Machine
) -> tuple[list[int], list[list[int]]]:
    """Give a one-axis problem an outer axis to share among threads, where whole vectors allow it."""
    if machine.threads == 1 or len(extents) > 1 or extents[0] % (machine.threads * machine.lanes):
        return extents, steps
    part = extents[0] // machine.threads
    return [machine.threads, part], [[part * s[0], s[0]] for s in steps]
