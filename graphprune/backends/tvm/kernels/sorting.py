"""The largest or smallest elements along an axis by a sorting network: bitonic sort in vectors, without branches.

An element and its place become one number of 64 bits, which orders elements as asked and equal ones by their places.
The network is that of Batcher, "Sorting networks and their applications" (1968). Of a long line, elements better than
the worst of the best are collected until there are as many as are sorted at a time.
"""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx
from tvm.tirx.script import builder as T

from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Kernel,
    Machine,
    bind,
    build_function,
    constant,
    lanes,
    loop,
    registers,
    scratch,
    store,
)
from graphprune.backends.tvm.kernels.elements import lanes_of
from graphprune.backends.tvm.kernels.indexing import at, flat, visit
from graphprune.backends.tvm.kernels.opaque import opaque
from graphprune.backends.tvm.kernels.view import View

SORTED = frozenset({"float32", "int8", "int16", "int32", "uint8", "uint16"})
"""Element types that leave room for a place in 64 bits."""

BLOCK = 16
"""Elements that are compared with the worst of the best together."""

_PLACES = 1 << 32


def sorted_top_function(machine: Machine, x: View, values: View, indices: View, axis: int, *, largest: bool) -> Expr:
    """The TIR function (x, values, indices): the largest (or smallest) elements along `axis`, best first.

    Of equal elements the first comes first; NaN is larger than any number. `values` and `indices` hold as many as their
    axis has.
    """
    length, count = x.shape[axis], values.shape[axis]

    def body(kernel: Kernel) -> None:
        def line(position: list[Expr]) -> None:
            def slot(view: View, i: Expr) -> Expr:
                return at(view, [*position[:axis], i, *position[axis:]])

            best = _Best(machine, kernel, length, count, lambda i: kernel["x"][slot(x, i)], largest=largest)
            best.find()

            def write(rank: Expr) -> None:
                place = bind(best.place(rank))
                store(kernel["values"], slot(values, rank), kernel["x"][slot(x, place)])
                store(kernel["indices"], slot(indices, rank), place.astype("int64"))

            lanes(count, machine.lanes, write)

        visit([*x.shape[:axis], *x.shape[axis + 1 :]], line, parallel=machine.threads > 1)

    return build_function("sort", [flat("x", x), flat("values", values), flat("indices", indices)], body)


class _Best:
    """The best elements of one line, among others in a buffer of a power of two of them, in descending order."""

    def __init__(
        self, machine: Machine, kernel: Kernel, length: int, count: int, load: Callable[[Expr], Expr], *, largest: bool
    ) -> None:
        self._kernel, self._load, self._largest = kernel, load, largest
        self._machine, self._length, self._count = machine, length, count
        self._width = lanes_of(machine, "int64")
        self._size = 2 * BLOCK
        while self._size < min(length, 2 * count):
            self._size *= 2
        self._numbers = scratch(self._size, "int64")

    def find(self) -> None:
        """Emit the sort of the first elements, and of those of the others that may be among the best."""
        first = min(self._size, self._length)
        lanes(first, self._machine.lanes, lambda i: store(self._numbers, i, self._number(i)))
        worst = tirx.min_value("int64")
        lanes(self._size - first, self._machine.lanes, lambda i: store(self._numbers, first + i, worst))
        _sort(self._numbers, self._size, self._width)
        whole, rest = divmod(self._length - first, BLOCK)
        if not whole and not rest:
            return
        filled = T.alloc_buffer((1,), "int32", scope="global")
        store(filled, 0, constant(self._count, "int32"))
        if whole:
            with loop(whole) as block:
                self._consider(filled, bind(first + block * BLOCK), BLOCK)
        if rest:
            self._consider(filled, self._length - rest, rest)
        with T.If(filled[0] > self._count), T.Then():
            _sort(self._numbers, self._size, self._width)

    def place(self, rank: Expr) -> Expr:
        """Where the element of this rank was."""
        return constant(-1, "int32") - self._numbers[rank].astype("int32")  # of the lower half

    def _number(self, place: Expr) -> Expr:
        """An element and its place: larger for better ones, and for earlier of equal ones."""
        key = _key(self._load(place))
        key = key if self._largest else constant(-1, "int64") - key
        behind = constant(_PLACES - 1, "int64") - place.astype("int64")
        return key * constant(_PLACES, "int64") + behind

    def _consider(self, filled: Expr, first: Expr, count: int) -> None:
        """Collect those of `count` elements that are better than the worst of the best, and sort when it gets full."""
        limit = bind(self._numbers[self._count - 1])
        bound = bind(self._load(self.place(self._count - 1)))

        def may_be(i: int) -> Expr:  # NaN may
            element = self._load(first + i)
            return tirx.Not(opaque(element <= bound if self._largest else element >= bound))

        hits = may_be(0)
        for i in range(1, count):
            hits = tirx.Or(hits, may_be(i))
        with T.If(hits), T.Then():
            with loop(count) as i:
                number = bind(self._number(first + i))
                with T.If(number > limit), T.Then():
                    store(self._numbers, filled[0], number)
                    store(filled, 0, filled[0] + 1)
            with T.If(filled[0] > self._size - BLOCK), T.Then():
                _sort(self._numbers, self._size, self._width)
                store(filled, 0, constant(self._count, "int32"))


def _key(element: Expr) -> Expr:
    """A number of 64 bits in the order of elements of at most 32."""
    if str(element.ty.dtype) != "float32":
        return element.astype("int64")
    bits = tirx.reinterpret("int32", element)
    turned = tirx.Select(bits < 0, bits ^ constant(0x7FFFFFFF, "int32"), bits)  # negative floats grow towards zero
    return tirx.Select(tirx.EQ(element, constant(0, "float32")), constant(0, "int32"), turned).astype("int64")


def _sort(numbers: Expr, size: int, width: int) -> None:
    """Sort `size` numbers, a power of two and at least two vectors, in descending order."""
    with loop(size // width) as vector:
        _sort_lanes(numbers, vector, width)
    with loop((size // width).bit_length() - 1) as step:
        run = bind(tirx.shift_left(constant(2 * width, "int32"), step))
        with loop(step + 1) as half:
            distance = bind(tirx.shift_right(run, half + 1))
            with loop(size // (2 * width)) as pair:
                _exchange(numbers, pair * width, distance, run, width)
        with loop(size // width) as vector:
            _merge_lanes(numbers, vector, width, tirx.EQ(tirx.bitwise_and(vector * width, run), 0))


def _exchange(numbers: Expr, number: Expr, distance: Expr, run: Expr, width: int) -> None:
    """Compare a vector with the one at `distance`: the larger numbers go first in every other run, else last."""
    low = tirx.bitwise_and(number, distance - 1)
    start = bind((number - low) * 2 + low)
    falls = tirx.EQ(tirx.bitwise_and(start, run), 0)
    a, b = (bind(numbers[T.ramp(place, 1, width)]) for place in (start, start + distance))
    to = bind(tirx.Select(falls, start, start + distance))
    store(numbers, T.ramp(to, 1, width), tirx.max(a, b))
    store(numbers, T.ramp(start * 2 + distance - to, 1, width), tirx.min(a, b))


def _sort_lanes(numbers: Expr, vector: Expr, width: int) -> None:
    """Sort the numbers of one vector, in descending order where its number is even."""
    kept = _loaded(numbers, vector, width)
    run = 2
    while run < width:
        for distance in _halves(run):
            kept = _exchanged(kept, width, distance, [not lane & run for lane in range(width)])
        run *= 2
    _store(numbers, vector, width, _merged(kept, width, tirx.EQ(vector % 2, 0)))


def _merge_lanes(numbers: Expr, vector: Expr, width: int, falls: Expr) -> None:
    _store(numbers, vector, width, _merged(_loaded(numbers, vector, width), width, falls))


def _merged(kept: Expr, width: int, falls: Expr) -> Expr:
    """A bitonic vector sorted, in descending order where it `falls`: turned over, if it is to rise."""
    for distance in _halves(width):
        kept = _exchanged(kept, width, distance, [True] * width)
    whole = kept[T.ramp(0, 1, width)]
    turned = tirx.Shuffle([whole], [tirx.IntImm("int32", lane) for lane in reversed(range(width))])
    result = registers(width, "int64")
    store(result, T.ramp(0, 1, width), tirx.if_then_else(falls, whole, turned))
    return result


def _exchanged(kept: Expr, width: int, distance: int, falls: list[bool]) -> Expr:
    """Each lane compared with the one at `distance`: where it falls, the larger number goes first."""
    whole = kept[T.ramp(0, 1, width)]
    partner = tirx.Shuffle([whole], [tirx.IntImm("int32", lane ^ distance) for lane in range(width)])
    takes_larger = [falls[lane] == (not lane & distance) for lane in range(width)]
    places = [tirx.IntImm("int32", lane if larger else width + lane) for lane, larger in enumerate(takes_larger)]
    result = registers(width, "int64")
    store(result, T.ramp(0, 1, width), tirx.Shuffle([tirx.max(whole, partner), tirx.min(whole, partner)], places))
    return result


def _halves(run: int) -> list[int]:
    """The halves of a run: half of it, a quarter, and so on down to 1."""
    return [run >> i for i in range(1, run.bit_length())]


def _loaded(numbers: Expr, vector: Expr, width: int) -> Expr:
    kept = registers(width, "int64")
    store(kept, T.ramp(0, 1, width), numbers[T.ramp(vector * width, 1, width)])
    return kept


def _store(numbers: Expr, vector: Expr, width: int, kept: Expr) -> None:
    store(numbers, T.ramp(vector * width, 1, width), kept[T.ramp(0, 1, width)])
