"""Copies and element-wise kernels between memory layouts: square tiles are transposed in registers.

The result's fastest axes (`along`) and the operand's (`across`) are different ones. Read one element at a time, either
side would waste most of each cache line; a tile is instead loaded in vectors across, transposed by shuffles, and stored
in vectors along.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from tvm import tirx
from tvm.tirx.script import builder as T

from graphprune.backends.tvm.kernels.builder import Expr, bind, loop, registers, store, unrolled_lanes
from graphprune.backends.tvm.kernels.view import Shape, merged_stride

FEWEST = 4
"""Elements of a side of a tile from which on turning it over pays."""

Steps = Sequence[int]
"""The distance between neighbours along each axis, in elements."""


@dataclass(frozen=True)
class Turn:
    """The axes of the tiles to turn over, slowest first; several only where one tile holds them all.

    Attributes:
        along: Next to each other in the result.
        across: Next to each other in the operands `turned`.
        turned: Indices of operands.
    """

    along: tuple[int, ...]
    across: tuple[int, ...]
    turned: tuple[int, ...]


def find_turn(extents: Shape, operands: Sequence[Steps], result: Steps, width: int) -> Turn | None:
    """Return what to turn over so that operands and result are both accessed in vectors; None where nothing is."""
    last = len(extents) - 1
    turned = tuple(i for i, steps in enumerate(operands) if steps[last] not in (0, 1))
    if result[last] != 1 or not turned:
        return None
    along: tuple[int, ...] = (last,)
    wide = extents[last]
    while along[0] > 0 and _extends(extents, operands, result, turned, along[0] - 1, wide, width):
        along = (along[0] - 1, *along)
        wide *= extents[along[0]]
    across = _contiguous(extents, operands[turned[0]], along, width)
    sizes = [math.prod(extents[axis] for axis in axes) for axes in (along, across)]
    together = all(_steps_of(operands[i], across) == _steps_of(operands[turned[0]], across) for i in turned)
    others = [steps for i, steps in enumerate(operands) if i not in turned]
    simple = all(merged_stride(_steps_of(extents, along), _steps_of(steps, along)) is not None for steps in others)
    return Turn(along, across, turned) if min(sizes) >= FEWEST and together and simple else None


def _extends(
    extents: Shape, operands: Sequence[Steps], result: Steps, turned: Sequence[int], axis: int, size: int, width: int
) -> bool:
    """Whether the result goes on along this axis, within one tile."""
    return (
        result[axis] == size and size * extents[axis] <= width and all(operands[i][axis] not in (0, 1) for i in turned)
    )


def _contiguous(extents: Shape, steps: Steps, apart_from: Sequence[int], width: int) -> tuple[int, ...]:
    """The axes that lie next to each other in an operand, slowest first."""
    axes: tuple[int, ...] = ()
    size = 1
    while following := [a for a, step in enumerate(steps) if step == size and a not in (*apart_from, *axes)]:
        if axes and size * extents[following[0]] > width:
            break
        axes = (following[0], *axes)
        size *= extents[following[0]]
    return axes


def _steps_of(steps: Sequence[int], axes: Sequence[int]) -> Shape:
    return tuple(steps[axis] for axis in axes)


@dataclass(frozen=True)
class Side:
    """One side of the tiles: its axes, and how many elements they have together."""

    extents: Shape
    axes: tuple[int, ...]

    @property
    def size(self) -> int:
        """Elements of the whole side."""
        return math.prod(self.extents)

    def places(self, steps: Steps, count: int) -> list[int]:
        """The distance of each of a tile's `count` elements from its first."""
        if len(self.axes) == 1:
            return [i * steps[self.axes[0]] for i in range(count)]
        indices = product(*(range(extent) for extent in self.extents))
        return [sum(i * steps[axis] for i, axis in zip(index, self.axes, strict=True)) for index in indices]

    def tiles(self, width: int) -> list[tuple[int, int, int]]:
        """Runs of equal tiles: the first element, how many tiles, and elements of each."""
        full, rest = divmod(self.size, width)
        runs = [(0, full, width), (full * width, 1, rest)]
        return [run for run in runs if run[1] and run[2]]


@dataclass(frozen=True)
class Transposition:
    """An element-wise kernel over `extents` whose tiles are turned over; the last of `steps` are the result's."""

    width: int
    extents: Shape
    steps: Sequence[Steps]
    turn: Turn
    parallel: bool

    def emit(self, buffers: Sequence[Expr], starts: Sequence[int], y: Expr, compute: Callable[..., Expr]) -> None:
        """Emit the loops: `y = compute(elements of buffers)`."""
        outer = [a for a in range(len(self.extents)) if a not in (*self.turn.along, *self.turn.across)]
        along = Side(_steps_of(self.extents, self.turn.along), self.turn.along)
        across = Side(_steps_of(self.extents, self.turn.across), self.turn.across)

        def tiles(places: list[Expr]) -> None:
            for first, count, length in across.tiles(self.width):
                with loop(count, parallel=self.parallel and not outer) as number:
                    at = self._moved(places, across, first + number * self.width)
                    for first_along, count_along, wide in along.tiles(self.width):
                        with loop(count_along) as number_along:
                            origin = self._moved(at, along, first_along + number_along * self.width)
                            self._tile(buffers, origin, y, compute, along.places, across.places, (wide, length))

        def nest(number: int, places: list[Expr]) -> None:
            if number == len(outer):
                tiles(places)
                return
            axis = outer[number]
            with loop(self.extents[axis], parallel=self.parallel and number == 0) as i:
                nest(number + 1, [bind(p + i * s[axis]) for p, s in zip(places, self.steps, strict=True)])

        nest(0, list(starts))

    def _moved(self, places: list[Expr], side: Side, index: Expr) -> list[Expr]:
        """The places moved by `index` elements along a side, which has one axis if it has several tiles."""
        if side.size <= self.width:
            return places
        return [bind(p + index * s[side.axes[-1]]) for p, s in zip(places, self.steps, strict=True)]

    def _tile(
        self,
        buffers: Sequence[Expr],
        places: list[Expr],
        y: Expr,
        compute: Callable[..., Expr],
        along: Callable[[Steps, int], list[int]],
        across: Callable[[Steps, int], list[int]],
        size: tuple[int, int],
    ) -> None:
        wide, length = size
        rows = {}
        for i in self.turn.turned:
            origins = [places[i] + distance for distance in along(self.steps[i], wide)]
            rows[i] = _turned(buffers[i], origins, length, self.width)
        distances = [across(steps, length) for steps in self.steps]
        inner = [0 if i in rows else _step(self.extents, s, self.turn.along) for i, s in enumerate(self.steps)]
        for number in range(length):

            def element(lane: Expr, number: int = number) -> None:
                loads = [
                    rows[i][number][lane] if i in rows else buffer[places[i] + distances[i][number] + lane * inner[i]]
                    for i, buffer in enumerate(buffers)
                ]
                store(y, places[-1] + distances[-1][number] + lane, compute(loads))

            unrolled_lanes(wide, self.width, element)


def _step(extents: Shape, steps: Steps, axes: tuple[int, ...]) -> int:
    step = merged_stride(_steps_of(extents, axes), _steps_of(steps, axes))
    assert step is not None  # asked in find_turn
    return step


def _turned(buffer: Expr, origins: Sequence[Expr], length: int, width: int) -> list[Expr]:
    """Load `length` elements at each origin and turn them over: registers, one for each of the elements."""
    lines = [registers(width, buffer.dtype) for _ in range(width)]
    for line, origin in zip(lines, origins, strict=False):

        def load(i: Expr, line: Expr = line, origin: Expr = origin) -> None:
            store(line, i, buffer[origin + i])

        unrolled_lanes(length, width, load)
    return transpose(lines, width)


def transpose(lines: Sequence[Expr], width: int) -> list[Expr]:
    """Transpose `width` registers of `width` lanes: halves of blocks of 2, 4, ... lanes change places."""
    whole = T.ramp(0, 1, width)
    distance = 1
    while distance < width:
        exchanged = [registers(width, lines[0].dtype) for _ in range(width)]
        low = [lane if not lane & distance else width + lane - distance for lane in range(width)]
        high = [lane + distance if not lane & distance else width + lane for lane in range(width)]
        for i in range(width):
            pair = [lines[i & ~distance][whole], lines[i | distance][whole]]
            places = [tirx.IntImm("int32", p) for p in (high if i & distance else low)]
            store(exchanged[i], whole, tirx.Shuffle(pair, places))
        lines = exchanged
        distance *= 2
    return list(lines)
