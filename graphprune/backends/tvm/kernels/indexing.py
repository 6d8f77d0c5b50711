"""Kernels that go through elements one by one: gather and scatter by index, running sums, the largest elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from tvm import tirx
from tvm.tirx.script import builder as T

from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Flat,
    Kernel,
    Machine,
    bind,
    build_function,
    constant,
    lanes,
    loop,
    store,
)
from graphprune.backends.tvm.kernels.view import View

Position = Sequence[Expr]
Combine = Callable[[Expr, Expr], Expr]


def visit(shape: Sequence[int], body: Callable[[list[Expr]], None], *, parallel: bool = False) -> None:
    """Emit body(position) for every position of `shape`, in row-major order; `parallel` shares out the first axis."""

    def nest(axis: int, position: list[Expr]) -> None:
        if axis == len(shape):
            body(position)
            return
        with loop(shape[axis], parallel=parallel and axis == 0) as i:
            nest(axis + 1, [*position, i])

    nest(0, [])


def at(view: View, position: Position) -> Expr:
    """The place of an element of a view in its buffer."""
    place: Expr = view.offset
    for index, stride in zip(position, view.strides, strict=True):
        place = place + index * stride if stride else place
    return place


def flat(name: str, view: View) -> Flat:
    """The buffer of a view as an argument."""
    return Flat(name, view.size, view.dtype)


def checked(given: Expr, extent: int, where: str, stack: ExitStack) -> Expr:
    """A run-time index, counted from the end where negative; one outside the axis stops the run with a message."""
    given = bind(given.astype("int64"))
    index = bind(tirx.Select(given < 0, given + extent, given))
    stack.enter_context(T.Assert(tirx.all(index >= 0, index < extent), f"{where}: index outside the {extent} elements"))
    return bind(index.astype("int32"))


def gather_elements_function(x: View, indices: View, result: View, axis: int, where: str) -> Expr:
    """The TIR function (x, indices, y): y[..., i, ...] = x[..., indices[..., i, ...], ...] along `axis`."""

    def body(kernel: Kernel) -> None:
        def element(position: list[Expr]) -> None:
            with ExitStack() as stack:
                chosen = checked(kernel["indices"][at(indices, position)], x.shape[axis], where, stack)
                source = [*position[:axis], chosen, *position[axis + 1 :]]
                store(kernel["y"], at(result, position), kernel["x"][at(x, source)])

        visit(indices.shape, element)

    return build_function("gather_elements", [flat("x", x), flat("indices", indices), flat("y", result)], body)


Target = Callable[[Kernel, list[Expr], ExitStack], list[Expr]]
"""From a position in the updates to the position in the result that it goes to."""


def scatter_function(
    machine: Machine,
    data: View | None,
    others: dict[str, View],
    result: View,
    target: Target,
    combine: Combine,
) -> Expr:
    """The TIR function (data, *others, y): `data` (or zeros), with each element of `others["updates"]` combined in.

    Updates come one after the other, in row-major order, so repeated targets are well defined.
    """

    def body(kernel: Kernel) -> None:
        _fill(kernel, machine, data, result)
        updates = others["updates"]

        def element(position: list[Expr]) -> None:
            with ExitStack() as stack:
                place = bind(at(result, target(kernel, position, stack)))
                value = kernel["updates"][at(updates, position)]
                store(kernel["y"], place, combine(kernel["y"][place], value))

        visit(updates.shape, element)

    first = [] if data is None else [flat("data", data)]
    return build_function("scatter", [*first, *(flat(n, v) for n, v in others.items()), flat("y", result)], body)


def _fill(kernel: Kernel, machine: Machine, data: View | None, result: View) -> None:
    """Start the result, which is row-major, with `data` or with zeros."""
    *outer, length = result.shape or (1,)
    view = data if data is None or result.shape else View(data.buffer, data.size, data.dtype, (1,), (0,), data.offset)

    def row(position: list[Expr]) -> None:
        start = bind(at(result, [*position, 0]) if result.shape else 0)

        def copy(i: Expr) -> None:
            zero = constant(0, result.dtype)
            store(kernel["y"], start + i, zero if view is None else kernel["data"][at(view, [*position, i])])

        lanes(length, machine.lanes, copy)

    visit(outer, row)


def scan_function(
    machine: Machine,
    x: View,
    result: View,
    axis: int,
    combine: Combine,
    start: float,
    *,
    exclusive: bool,
    reverse: bool,
) -> Expr:
    """The TIR function (x, y): running totals of `x` along `axis`, without the element itself where `exclusive`.

    Vectors hold neighbouring totals, unless it is they that are added up.
    """
    length, last = x.shape[axis], len(x.shape) - 1
    wide = 1 if axis == last else x.shape[last]

    def body(kernel: Kernel) -> None:
        def line(position: list[Expr]) -> None:
            def there(step: Expr, lane: Expr) -> list[Expr]:
                place = [*position[:axis], length - 1 - step if reverse else step, *position[axis:]]
                return place if axis == last else [*place, lane]

            def begin(lane: Expr) -> None:
                first = constant(start, x.dtype) if exclusive else kernel["x"][at(x, there(0, lane))]
                store(kernel["y"], at(result, there(0, lane)), first)

            lanes(wide, machine.lanes, begin)
            if length == 1:
                return
            with loop(length - 1) as i:

                def add(lane: Expr) -> None:
                    added = kernel["x"][at(x, there(i if exclusive else i + 1, lane))]
                    total = combine(kernel["y"][at(result, there(i, lane))], added)
                    store(kernel["y"], at(result, there(i + 1, lane)), total)

                lanes(wide, machine.lanes, add)

        outer = [n for a, n in enumerate(x.shape) if a not in (axis, last)]
        visit(outer, line, parallel=machine.threads > 1)

    return build_function("scan", [flat("x", x), flat("y", result)], body)


def top_function(x: View, values: View, indices: View, axis: int, *, largest: bool) -> Expr:
    """The TIR function (x, values, indices): the largest (or smallest) elements along `axis`, best first.

    Of equal elements the first comes first; `values` and `indices` hold as many as their axis has.
    """
    length, count = x.shape[axis], values.shape[axis]

    def body(kernel: Kernel) -> None:
        best, place = kernel["values"], kernel["indices"]

        def better(a: Expr, b: Expr) -> Expr:
            return a > b if largest else a < b

        def line(position: list[Expr]) -> None:
            def slot(view: View, rank: Expr) -> Expr:
                return at(view, [*position[:axis], rank, *position[axis:]])

            def insert(i: Expr, filled: Expr, last: int) -> None:
                """Put element `i` in its place among the first `filled`; the one at `last` may drop out."""
                value = bind(kernel["x"][slot(x, i)])
                moved = T.alloc_buffer((1,), "int32", scope="global")
                store(moved, 0, tirx.min(filled, constant(last, "int32")))
                with T.While(tirx.all(moved[0] > 0, better(value, best[slot(values, tirx.max(moved[0] - 1, 0))]))):
                    _move(best, slot(values, moved[0]), slot(values, moved[0] - 1))
                    _move(place, slot(indices, moved[0]), slot(indices, moved[0] - 1))
                    store(moved, 0, moved[0] - 1)
                store(best, slot(values, moved[0]), value)
                store(place, slot(indices, moved[0]), i.astype("int64"))

            with loop(count) as i:
                insert(i, i, count - 1)
            if length == count:
                return
            with loop(length - count) as rest:
                i = rest + count
                with T.If(better(kernel["x"][slot(x, i)], best[slot(values, count - 1)])), T.Then():
                    insert(i, constant(count - 1, "int32"), count - 1)

        visit([*x.shape[:axis], *x.shape[axis + 1 :]], line)

    return build_function("top", [flat("x", x), flat("values", values), flat("indices", indices)], body)


def _move(buffer: Expr, target: Expr, source: Expr) -> None:
    store(buffer, target, buffer[source])
