"""The frame shared by all kernels that map planes to planes: batch and tile loops, input tile, epilogue, write-back.

A kernel computes `y[n, m, p]` from planes `x[n, c, ...]`. What differs (sparse rows, dense blocks, depthwise windows)
is only how one tile's sums are formed; the frame hands that code a `TileContext` and stores what comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tvm import tirx

from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Flat,
    Kernel,
    Machine,
    bind,
    build_function,
    lanes,
    loop,
    prefetch,
    scratch,
    store,
    unrolled_lanes,
)
from graphprune.backends.tvm.kernels.tiling import Tile, Tiling, in_half_vectors

MANY = 8
"""Jobs a thread of which one more or less no longer matters."""

FLOAT_BYTES = 4
FAR_PER_L2 = 2
"""Planes of so many times the L2 cache's size are fetched ahead (measured)."""

Position = tuple[Expr, Expr, Expr]
"""(image, channel, position in the plane) of one output element."""

Epilogue = Callable[[Kernel, Expr, Position], Expr]
"""Maps the raw sum of an output element to its final value; may load other operands."""


def no_epilogue(_kernel: Kernel, value: Expr, _position: Position) -> Expr:
    """The sum itself."""
    return value


@dataclass(frozen=True)
class Planes:
    """Where the input planes lie: channel `c` of image `n` starts at `offset + n * image_stride + c * channel_stride`.

    `position_stride` separates neighbouring positions; `size` is the whole buffer. A tile reads `halo` positions beyond
    its span, in each of `phases` parts of a channel.
    """

    size: int
    channels: int
    image_stride: int
    channel_stride: int
    position_stride: int = 1
    offset: int = 0
    phases: int = 1
    halo: int = 0


@dataclass(frozen=True)
class PlaneProblem:
    """The sizes of a plane-to-plane kernel, its input and its output tiles."""

    machine: Machine
    images: int
    outputs: int
    positions: int
    planes: Planes
    tiling: Tiling
    dtype: str = "float32"
    copy_tile: bool = False
    """Copy each input tile into aligned scratch memory first."""

    @property
    def parts(self) -> int:
        """In how many parts the output channels are shared among threads: more than one where tiles alone are few."""
        threads = self.machine.threads
        jobs = [self.images * tile.count for tile in self.tiling.tiles]
        even = (n for n in range(1, threads) if all(j * n % threads == 0 or j * n >= MANY * threads for j in jobs))
        return next(even, threads)


@dataclass
class TileContext:
    """What the inner code of one tile reads: `x` at `base + offset of the tap`, and where results go."""

    kernel: Kernel
    tile: Tile
    x: Expr
    base: Expr
    image: Expr
    output_start: Expr
    problem: PlaneProblem
    epilogue: Epilogue
    part: Expr = 0
    """Which of the problem's parts of the output channels is to be computed."""
    following: Expr = 0
    alike: Sequence[str] = ()
    """Operands as large as the output, which are taken to lie in its order."""
    """Where the next tile of the same image starts in the input."""

    def prefetch_next(self, step: Expr, steps: int) -> None:
        """Bring one of `steps` parts of the next tile's input near, if the planes are too large to lie near anyway."""
        p = self.problem
        if p.planes.size * FLOAT_BYTES < FAR_PER_L2 * p.machine.l2_bytes or p.planes.position_stride != 1:
            return
        share = -(-p.planes.channels // steps)
        with loop(share) as i:
            place = bind(self.following + (step * share + i) * p.planes.channel_stride)
            for first in range(0, self.tile.span, p.machine.lanes):
                prefetch(self.kernel["x"], place + first)

    def prefetch_outputs(self, channel: Expr) -> None:
        """Bring the places near that `write` of this channel stores to and reads operands from."""
        p = self.problem
        if p.images * p.outputs * p.positions * FLOAT_BYTES < FAR_PER_L2 * p.machine.l2_bytes:
            return
        row = (self.image * p.outputs + channel) * p.positions + self.output_start
        _, start, length = self.tile.segments[0]
        for first in range(0, length, p.machine.lanes):
            prefetch(self.kernel["y"], row + start + first, to_write=True)
            for name in self.alike:
                prefetch(self.kernel[name], row + start + first)

    def write(self, channel: Expr, sums: Expr, start: Expr | int = 0, *, in_registers: bool = False) -> None:
        """Store one channel's outputs from `sums[start + input position]`, epilogue applied."""
        for number, (input_start, _, _) in enumerate(self.tile.segments):
            self.write_segment(channel, number, sums, start + input_start, in_registers=in_registers)

    def write_segment(
        self, channel: Expr, number: int, sums: Expr, start: Expr | int = 0, *, in_registers: bool = False
    ) -> None:
        """Store one segment of a channel's outputs from `sums[start]` on, where up to half a vector may follow it.

        Segments are written in order: what is stored beyond the end of one is then overwritten by the next.
        """
        p, segments = self.problem, self.tile.segments
        _, first, length = segments[number]
        wide, left = in_half_vectors(length, p.machine.lanes), segments[-1][1] + segments[-1][2] - first
        row = (self.image * p.outputs + channel) * p.positions + self.output_start + first

        def element(i: Expr) -> None:
            place = (self.image, channel, self.output_start + first + i)
            store(self.kernel["y"], row + i, self.epilogue(self.kernel, sums[start + i], place))

        each = unrolled_lanes if in_registers else lanes
        each(wide if wide <= left else length, p.machine.lanes, element)

    def write_chunk(self, channel: Expr, sums: Expr, start: int, count: int) -> None:
        """As `write` out of registers, of up to `count` positions from `start` on; the tile is one run of outputs.

        `sums[0]` is that of position `start`.
        """
        p = self.problem
        ((_, first, length),) = self.tile.segments
        row = (self.image * p.outputs + channel) * p.positions

        def element(i: Expr) -> None:
            place = self.output_start + first + start + i
            value = self.epilogue(self.kernel, sums[i], (self.image, channel, place))
            store(self.kernel["y"], row + place, value)

        unrolled_lanes(min(count, length - start), p.machine.lanes, element)


def span_of(part: Expr, bounds: Sequence[int]) -> tuple[Expr, Expr]:
    """The first number of a part and how many it has, where part `i` goes from `bounds[i]` to `bounds[i + 1]`."""
    if len(bounds) == 2:
        return bounds[0], bounds[1] - bounds[0]
    first, end = (bind(_entry(part, values)) for values in (bounds[:-1], bounds[1:]))
    return first, bind(end - first)


def _entry(index: Expr, values: Sequence[int]) -> Expr:
    """values[index], by comparisons."""
    entry: Expr = tirx.IntImm("int32", values[0])
    for number, value in enumerate(values[1:], 1):
        entry = tirx.Select(index >= number, tirx.IntImm("int32", value), entry)
    return entry


def tile_stride(problem: PlaneProblem) -> int:
    """Distance between channels in the copied input tile, in elements: whole vectors."""
    width = problem.machine.lanes
    return -(-problem.tiling.span // width) * width


def channel_distance(problem: PlaneProblem) -> int:
    """Distance between input channels as the inner code sees them; offsets of weights are scaled by it."""
    return tile_stride(problem) if problem.copy_tile else problem.planes.channel_stride


def plane_function(
    name: str,
    problem: PlaneProblem,
    operands: Sequence[Flat],
    inner: Callable[[TileContext], None],
    epilogue: Epilogue = no_epilogue,
    output_dtype: str = "float32",
) -> Expr:
    """The TIR function (x, operands..., y): `inner` emits the code of one tile."""
    p = problem
    arguments = [
        Flat("x", p.planes.size, p.dtype),
        *operands,
        Flat("y", p.images * p.outputs * p.positions, output_dtype),
    ]

    alike = [a.name for a in operands if a.size == p.images * p.outputs * p.positions]

    def body(kernel: Kernel) -> None:
        for tile in p.tiling.tiles:
            with loop(p.images * tile.count * p.parts, parallel=p.machine.threads > 1) as job:
                step, part = (job // p.parts, bind(job % p.parts)) if p.parts > 1 else (job, 0)
                image = step // tile.count if p.images > 1 else 0
                number = tile.first + (step % tile.count if p.images > 1 else step)
                _emit_tile(kernel, p, tile, (image, bind(number), part), inner, epilogue, alike)

    return build_function(name, arguments, body)


def _emit_tile(
    kernel: Kernel,
    p: PlaneProblem,
    tile: Tile,
    place: tuple[Expr, Expr, Expr],
    inner: Callable[[TileContext], None],
    epilogue: Epilogue,
    alike: Sequence[str],
) -> None:
    image, number, part = place
    input_start, output_start = p.tiling.starts(number)
    start = p.planes.offset + image * p.planes.image_stride + input_start * p.planes.position_stride
    output_start = bind(output_start)
    x, base = kernel["x"], bind(start)
    if p.copy_tile:
        x, base = _copied_tile(p, tile, kernel["x"], base), 0
    step = p.tiling.input_step if p.tiling.pieces == 1 else tile.span
    inner(TileContext(kernel, tile, x, base, image, output_start, p, epilogue, part, bind(start + step), alike))


def _copied_tile(p: PlaneProblem, tile: Tile, x: Expr, base: Expr) -> Expr:
    """An aligned copy [channel][tile_stride] of the input tile, so that every later load is aligned and near.

    Lanes beyond the tile stay unset; they only ever reach outputs that are not stored.
    """
    stride = tile_stride(p)
    copy = scratch(p.planes.channels * stride, p.dtype)
    if p.planes.position_stride != 1 and p.planes.channel_stride == 1:
        _copy_transposed(p, tile, x, base, copy, stride)
        return copy
    with loop(p.planes.channels) as c:
        source, target = bind(base + c * p.planes.channel_stride), bind(c * stride)
        lanes(
            tile.span,
            p.machine.lanes,
            lambda i: store(copy, target + i, x[source + i * p.planes.position_stride]),
        )
    return copy


def _copy_transposed(p: PlaneProblem, tile: Tile, x: Expr, base: Expr, copy: Expr, stride: int) -> None:
    """The channels of a position lie next to each other: load along them, store apart."""
    with loop(tile.span) as i:
        source = bind(base + i * p.planes.position_stride)
        lanes(p.planes.channels, p.machine.lanes, lambda c: store(copy, c * stride + i, x[source + c]))
