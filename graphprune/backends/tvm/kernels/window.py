"""Depthwise convolution and pooling: each output channel is a window sliding over one input channel.

One plane at a time is padded into scratch memory near the core, then every output is a few taps at constant offsets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from tvm import tirx

from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Flat,
    Kernel,
    Machine,
    bind,
    build_function,
    loop,
    registers,
    scratch,
    store,
    unrolled_lanes,
)
from graphprune.backends.tvm.kernels.dense import copy_lanes
from graphprune.backends.tvm.kernels.elements import itemsize, lanes_of
from graphprune.backends.tvm.kernels.epilogue import Epilogue, no_epilogue
from graphprune.backends.tvm.kernels.pad import PaddedPlanes, pad_plane
from graphprune.backends.tvm.kernels.problem import PlaneProblem, Planes
from graphprune.backends.tvm.kernels.sliding import Sliding
from graphprune.backends.tvm.kernels.tap_words import emit_words
from graphprune.backends.tvm.kernels.tile import TileContext
from graphprune.backends.tvm.kernels.tiling import (
    MOST_VECTORS,
    Tile,
    chunks,
    in_half_vectors,
    tile_equal_rows,
    tile_rows,
)
from graphprune.backends.tvm.kernels.view import View

SPARE_REGISTERS = 12
"""Vector registers kept free of sums: for an input vector and the weights of a 3 x 3 window."""

SPARE_FOR_WORDS = 6
"""The same for words, of which a window has fewer, each with a product that no instruction adds (measured)."""

MOST_STEPS = 512
"""Most multiply-adds written out for one tile; larger windows take fewer rows at a time."""

MOST_PLANES, PADDED_BYTES = 8, 16 << 10
"""Small planes are padded one after another before the first is computed, and computed before the first is stored: a
vector of what was just stored in parts makes a processor wait until these are in its cache."""

UNROLLED_TAPS = 32
"""Windows of more taps loop over the taps."""


def window_function(
    name: str,
    machine: Machine,
    x: View,
    layout: PaddedPlanes,
    sliding: Sliding,
    operands: Sequence[Flat] = (),
    epilogue: Epilogue = no_epilogue,
    output_dtype: str = "float32",
) -> Expr:
    """The TIR function (x, operands..., offsets, y) of a view `x` [image, channel, height, width].

    `offsets` are those of what `sliding` combines; `y` is [image][output channel][position].
    """
    images, outputs, (height, width) = x.shape[0], layout.channels * sliding.multiplier, layout.output
    offsets, summed = [int(offset) for offset in sliding.offsets(layout)], sliding.sums(x.dtype)
    spare, lanes = SPARE_REGISTERS if sliding.words is None else SPARE_FOR_WORDS, lanes_of(machine, summed)
    together = _rows_together((machine.registers - spare, lanes), height, width, len(offsets))
    if together:
        tiling = tile_equal_rows(height, width, layout.pitch, together)
    else:
        tiling = tile_rows(height, width, layout.pitch, lanes)
    problem = PlaneProblem(machine, images, outputs, height * width, Planes(0, 0, 0, 0), tiling)
    planes, several = images * outputs, _planes_together(layout, itemsize(summed))

    def body(kernel: Kernel) -> None:
        with loop(-(-planes // several), parallel=machine.threads > 1) as block:
            first = bind(block * several)
            count = several if planes % several == 0 else bind(tirx.min(several, planes - first))

            def channel_of(i: Expr) -> tuple[Expr, Expr]:
                return (first + i) // outputs, (first + i) % outputs

            padded = _padded(kernel, machine, x, layout, sliding, (several, count), channel_of)

            def place_of(tile: Tile, i: Expr, step: Expr) -> tuple[TileContext, Expr]:
                base, start = (bind(place) for place in tiling.starts(bind(step + tile.first)))
                base, (image, channel) = bind(i * layout.channel_stride + base), map(bind, channel_of(i))
                return TileContext(kernel, tile, padded, base, image, start, problem, epilogue), channel

            sums = _Sums(sliding, offsets, summed, lanes)
            for tile in tiling.tiles:
                if together:
                    with loop(count) as i, loop(tile.count) as step:
                        sums.write_together(*place_of(tile, i, step))
                else:
                    _write_lines(sums, tile, several, count, partial(place_of, tile))

    arguments = [Flat("x", x.size, x.dtype), *operands, Flat("offsets", len(offsets), "int32")]
    size = images * outputs * height * width
    return build_function(name, [*arguments, Flat("y", size, output_dtype)], body)


def _padded(
    kernel: Kernel,
    machine: Machine,
    x: View,
    layout: PaddedPlanes,
    sliding: Sliding,
    planes: tuple[int, Expr],
    channel_of: Callable[[Expr], tuple[Expr, Expr]],
) -> Expr:
    """What is combined, of as many planes as (at most, in fact): their padded copies, or these in words."""
    (most, count), words = planes, sliding.words
    reach = 0 if words is None else max(words.parts)
    size = most * layout.channel_stride + MOST_VECTORS * lanes_of(machine, sliding.sums(x.dtype))
    padded, wide = scratch(size + reach, x.dtype), replace(machine, lanes=lanes_of(machine, x.dtype))
    with loop(count) as i:
        image, channel = channel_of(i)
        place, at = (bind(image), bind(channel // sliding.multiplier)), bind(i * layout.channel_stride)
        pad_plane(wide, layout, x, kernel["x"], place, padded, at, sliding.fill)
    if words is None:
        return padded
    result = scratch(size, words.elements.inputs)
    with loop(count) as i:
        emit_words(machine, words, padded, result, bind(i * layout.channel_stride))
    return result


def _write_lines(
    sums: _Sums, tile: Tile, several: int, count: Expr, place_of: Callable[[Expr, Expr], tuple[TileContext, Expr]]
) -> None:
    """Compute a tile of `count` planes, of `several` at most, then store all of them."""
    padded = sums.padded(tile)
    lines = scratch(several * padded, sums.dtype)
    with loop(tile.count) as step:
        with loop(count) as i:
            sums.keep(*place_of(i, step), lines, bind(i * padded))
        with loop(count) as i:
            context, channel = place_of(i, step)
            context.write(channel, lines, bind(i * padded))


def _planes_together(layout: PaddedPlanes, element_bytes: int) -> int:
    """How many planes are padded before the first is computed."""
    return max(1, min(MOST_PLANES, PADDED_BYTES // (layout.channel_stride * element_bytes)))


def _rows_together(registers_: tuple[int, int], height: int, width: int, taps: int) -> int:
    """How many output rows to compute at once in so many registers of so many lanes; 0 where rows fill them badly."""
    count, lanes = registers_
    vectors = -(-width // lanes)
    if taps > UNROLLED_TAPS or 4 * width < 3 * lanes:
        return 0
    most = min(height, count // vectors, MOST_STEPS // (vectors * taps))
    if most < 1:
        return 0
    tiles = -(-height // most)
    return -(-height // tiles)


@dataclass(frozen=True)
class _Sums:
    """What slides over padded planes: the code of one tile."""

    sliding: Sliding
    offsets: list[int]
    dtype: str
    lanes: int

    def padded(self, tile: Tile) -> int:
        """Elements of a tile's sums: whole vectors."""
        return -(-tile.span // self.lanes) * self.lanes

    def write_together(self, tile: TileContext, channel: Expr) -> None:
        """All rows of a tile in registers: each input vector is loaded once for every row and tap that reads it."""
        segments = tile.tile.segments
        readers: dict[int, list[tuple[int, int]]] = {}
        for start, _, _ in segments:
            for tap, offset in enumerate(self.offsets):
                readers.setdefault(start + offset, []).append((start, tap))
        wide = in_half_vectors(segments[0][2], self.lanes)
        sums = {start: registers(wide, self.dtype) for start, _, _ in segments}
        begun: set[int] = set()
        for offset in sorted(readers):
            steps = [(sums[start], tap, start not in begun) for start, tap in readers[offset]]
            begun.update(start for start, _ in readers[offset])
            unrolled_lanes(wide, self.lanes, partial(self._step, tile, channel, offset, steps))
        for number, (start, _, _) in enumerate(segments):
            tile.write_segment(channel, number, sums[start], in_registers=True)

    def _step(
        self, tile: TileContext, channel: Expr, offset: int, steps: list[tuple[Expr, int, bool]], i: Expr
    ) -> None:
        """Combine one input vector into the sums of every row that reads it."""
        x = bind(tile.x[tile.base + offset + i])
        for sums, tap, first in steps:
            total = None if first else sums[i]
            store(sums, i, self.sliding.combine(tile.kernel, channel, tap, total, x))

    def keep(self, tile: TileContext, channel: Expr, lines: Expr, at: Expr) -> None:
        """Compute one channel's tile and put it into `lines[at]`."""
        for start, vectors in chunks(tile.tile.span, self.lanes, MOST_VECTORS):
            sums = registers(vectors * self.lanes, self.dtype)
            self._taps(tile, channel, sums, start, vectors * self.lanes)
            unrolled_lanes(vectors * self.lanes, self.lanes, partial(copy_lanes, lines, at + start, sums))

    def _taps(self, tile: TileContext, channel: Expr, sums: Expr, start: int, count: int) -> None:
        """Combine all taps of `count` neighbouring outputs in registers."""

        def combine(tap: Expr, offset: Expr, *, first: bool) -> None:
            source = tile.base + offset + start

            def element(i: Expr) -> None:
                total = None if first else sums[i]
                store(sums, i, self.sliding.combine(tile.kernel, channel, tap, total, tile.x[source + i]))

            unrolled_lanes(count, self.lanes, element)

        combine(0, self.offsets[0], first=True)
        if len(self.offsets) <= UNROLLED_TAPS:
            for tap, offset in enumerate(self.offsets[1:], 1):
                combine(tap, offset, first=False)
        else:
            with loop(len(self.offsets) - 1) as previous:
                combine(previous + 1, tile.kernel["offsets"][previous + 1], first=False)
