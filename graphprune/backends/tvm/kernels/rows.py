"""Kernels that reduce along some axes and then map: reductions, Softmax, LayerNormalization and similar ones.

The elements that are reduced together are a *row*. Where neighbouring rows are neighbours in memory (a channel-major
LayerNormalization), vectors run across rows and nothing is ever summed within a vector; where a row itself is
contiguous, vectors run along it and their lanes are combined at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Flat,
    Kernel,
    Machine,
    bind,
    build_function,
    constant,
    loop,
    registers,
    scratch,
    store,
    unrolled_lanes,
)
from graphprune.backends.tvm.kernels.view import View

BLOCK_VECTORS = 2
"""Vectors of rows, or of one row's elements, that are in registers together: enough to hide latencies."""

Place = tuple[Expr, ...]
"""The index of an element along every axis of the input."""

Combine = Callable[[Expr, Expr], Expr]
Value = Callable[[Expr, Expr, Place], Expr]
"""From an input element, its row's lane and its place to what is folded."""

Lane = Callable[[Expr], Expr]
"""A value of each row of the block, by the row's lane."""

Epilogue = Callable[[Kernel, Expr, Place], Expr]


@dataclass(frozen=True)
class RowProblem:
    """A view, its reduced axes, and the output's strides along the view's axes: 0 along the axes a reduction drops."""

    machine: Machine
    x: View
    reduced: tuple[int, ...]
    output_strides: tuple[int, ...]
    output_size: int
    output_dtype: str

    @property
    def lane_axis(self) -> int | None:
        """The axis across which vectors of rows run; None where vectors run along the row itself."""
        rows = [a for a in range(len(self.x.shape)) if a not in self.reduced and self.x.shape[a] > 1]
        along = [a for a in self.reduced if self.x.strides[a] == 1 and self.x.shape[a] > 1]
        if not rows or along:
            return None
        return min(rows, key=lambda a: (self.x.strides[a] or self.x.size, -self.x.shape[a]))

    @property
    def row_length(self) -> int:
        """Elements of a row."""
        length = 1
        for axis in self.reduced:
            length *= self.x.shape[axis]
        return length


@dataclass
class RowBlock:
    """The rows that are computed together, inside the loops over all rows: what a recipe folds and writes."""

    kernel: Kernel
    problem: RowProblem
    place: list[Expr]
    rows: int
    epilogue: Epilogue
    lane_axis: int | None
    inner: int | None = field(init=False)
    """The reduced axis along which vectors run."""

    def __post_init__(self) -> None:
        reduced = self.problem.reduced
        self.inner = None
        if self.lane_axis is None and reduced:
            self.inner = min(reduced, key=lambda a: self.problem.x.strides[a] or self.problem.x.size)

    def fold(self, initial: float, combine: Combine, value: Value, keep: Expr = None, dtype: str | None = None) -> Lane:
        """Combine `value` of all elements of each row; `keep` is scratch memory that remembers the values.

        `dtype` is that of the values, by default the input's.
        """
        sums = self._sums(initial, dtype or self.problem.x.dtype)

        def step(slot: Expr, x: Expr, place: Place, kept: Expr) -> None:
            result = value(x, slot, place)
            if keep is not None:
                result = bind(result)
                store(keep, kept, result)
            store(sums, slot, combine(sums[slot], result))

        self._each(step)
        return self._total(sums, combine)

    def fold_two(self, initial: float, combine: Combine, first: Value, second: Value) -> tuple[Lane, Lane]:
        """Combine two values of all elements of each row, each by itself, in one pass."""
        sums = [self._sums(initial, self.problem.x.dtype) for _ in range(2)]

        def step(slot: Expr, x: Expr, place: Place, _kept: Expr) -> None:
            for each, value in zip(sums, (first, second), strict=True):
                store(each, slot, combine(each[slot], value(x, slot, place)))

        self._each(step)
        return self._total(sums[0], combine), self._total(sums[1], combine)

    def _sums(self, initial: float, dtype: str) -> Expr:
        width = self.problem.machine.lanes
        sums = registers(-(-self._slots // width) * width, dtype)
        unrolled_lanes(self._slots, width, lambda i: store(sums, i, constant(initial, dtype)))
        return sums

    @property
    def _slots(self) -> int:
        return self.rows if self.inner is None else BLOCK_VECTORS * self.problem.machine.lanes

    def _total(self, sums: Expr, combine: Combine) -> Lane:
        if self.inner is None:
            return lambda lane: sums[lane]
        total = bind(self._across(sums, self._slots, combine))
        return lambda _lane: total

    def kept(self) -> Expr:
        """Scratch memory for one value of every element of the block."""
        return scratch(self.problem.row_length * self.rows, self.problem.x.dtype)

    def write(self, value: Callable[[Expr, Expr, Place], Expr], kept: Expr = None) -> None:
        """Store `value(element, lane, place)` for all elements; elements come from `kept` where given."""
        strides = self.problem.output_strides

        def step(slot: Expr, x: Expr, place: Place, at: Expr) -> None:
            element = x if kept is None else kept[at]
            result = self.epilogue(self.kernel, value(element, slot, place), place)
            store(self.kernel["y"], _offset(place, strides), result)

        self._each(step)

    def write_rows(self, value: Lane) -> None:
        """Store one value a row."""
        strides = self.problem.output_strides

        def step(i: Expr) -> None:
            place = self._lane_place(i)
            store(self.kernel["y"], _offset(place, strides), self.epilogue(self.kernel, value(i), place))

        unrolled_lanes(self.rows, self.problem.machine.lanes, step)

    def _lane_place(self, lane: Expr) -> Place:
        place = list(self.place)
        if self.lane_axis is not None:
            place[self.lane_axis] = place[self.lane_axis] + lane
        return tuple(place)

    def _each(self, step: Callable[[Expr, Expr, Place, Expr], None]) -> None:
        """Emit step(slot, element, place, index among kept values) for every element of the block."""
        width = self.problem.machine.lanes
        outer = [a for a in self.problem.reduced if a != self.inner]
        with ExitStack() as loops:
            row: Expr = 0
            for axis in outer:
                self.place[axis] = loops.enter_context(loop(self.problem.x.shape[axis]))
                row = row * self.problem.x.shape[axis] + self.place[axis]
            if self.inner is None:
                kept = bind(row * self.rows) if outer else 0
                unrolled_lanes(self.rows, width, lambda i: self._visit(step, i, self._lane_place(i), kept + i))
            else:
                self._along(step, row)
        for axis in self.problem.reduced:
            self.place[axis] = 0

    def _along(self, step: Callable[[Expr, Expr, Place, Expr], None], row: Expr) -> None:
        """Vectors along the inner axis: whole blocks in a loop, then the rest."""
        assert self.inner is not None
        width, length, axis = self.problem.machine.lanes, self.problem.x.shape[self.inner], self.inner
        block = BLOCK_VECTORS * width

        def run(start: Expr, count: int) -> None:
            def visit(i: Expr) -> None:
                place = list(self.place)
                place[axis] = start + i
                self._visit(step, i, tuple(place), row * length + start + i)

            unrolled_lanes(count, width, visit)

        if length >= block:
            with loop(length // block) as number:
                run(bind(number * block), block)
        if length % block:
            run(length - length % block, length % block)

    def _visit(self, step: Callable[[Expr, Expr, Place, Expr], None], slot: Expr, place: Place, kept: Expr) -> None:
        x = self.problem.x
        step(slot, self.kernel["x"][x.offset + _offset(place, x.strides)], place, kept)

    def _across(self, sums: Expr, slots: int, combine: Combine) -> Expr:
        """Combine all lanes pairwise, as a tree: a power of two of them, halves in vectors."""
        while slots > 1:
            slots //= 2
            self._halve(sums, slots, combine)
        return sums[0]

    def _halve(self, sums: Expr, half: int, combine: Combine) -> None:
        width = self.problem.machine.lanes
        unrolled_lanes(half, width, lambda i: store(sums, i, combine(sums[i], sums[half + i])))


def _offset(place: Sequence[Expr], strides: Sequence[int]) -> Expr:
    result: Expr = 0
    for index, stride in zip(place, strides, strict=True):
        if stride:
            result = result + index * stride
    return result


def row_function(
    name: str,
    problem: RowProblem,
    recipe: Callable[[RowBlock], None],
    operands: Sequence[Flat] = (),
    epilogue: Epilogue = lambda _kernel, value, _place: value,
) -> Expr:
    """The TIR function (x, operands..., y) whose `recipe` emits the code of one block of rows."""
    p = problem
    lane_axis = p.lane_axis

    def body(kernel: Kernel) -> None:
        with _outer_loops(p, lane_axis) as place:
            if lane_axis is None:
                recipe(RowBlock(kernel, p, place, 1, epilogue, None))
                return
            length, block = p.x.shape[lane_axis], BLOCK_VECTORS * p.machine.lanes
            if length >= block:
                with loop(length // block) as number:
                    place[lane_axis] = bind(number * block)
                    recipe(RowBlock(kernel, p, place, block, epilogue, lane_axis))
            if length % block:
                place[lane_axis] = length - length % block
                recipe(RowBlock(kernel, p, place, length % block, epilogue, lane_axis))

    arguments = [Flat("x", p.x.size, p.x.dtype), *operands, Flat("y", p.output_size, p.output_dtype)]
    return build_function(name, arguments, body)


@contextmanager
def _outer_loops(p: RowProblem, lane_axis: int | None) -> Iterator[list[Expr]]:
    """Loops over all axes that are neither reduced nor the lane axis; the first one is shared among threads."""
    place: list[Expr] = [0] * len(p.x.shape)
    parallel = p.machine.threads > 1
    with ExitStack() as loops:
        for axis, extent in enumerate(p.x.shape):
            if axis in p.reduced or axis == lane_axis:
                continue
            place[axis] = loops.enter_context(loop(extent, parallel=parallel and extent > 1))
            parallel = parallel and extent == 1
        yield place
