"""Planes cut in strips, one for each lane of a vector: every tap of a convolution is then an aligned load.

Vectors over neighbouring positions make a convolution load at any address, and a load that crosses a cache line costs
two. Cut the output plane in as many equal strips as a vector has lanes instead, and put one position of each strip in a
vector: the neighbour of a position, in any direction, is another whole vector. Strips read a halo of their neighbours',
which is copied; what rows and columns have beyond whole vectors is no longer wasted either.

The layout is the dimension-lifted transposition of Henretty et al., "Data Layout Transformation for Stencil
Computations on Short-Vector SIMD Architectures" (CC 2011), in two dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

from graphprune.backends.tvm.kernels.builder import Expr, Flat, Kernel, Machine, bind, build_function, loop, scratch
from graphprune.backends.tvm.kernels.elementwise import emit_elementwise
from graphprune.backends.tvm.kernels.pad import Indices, PaddedPlanes, pad_plane
from graphprune.backends.tvm.kernels.problem import Planes
from graphprune.backends.tvm.kernels.tiling import MOST_VECTORS, Tile, Tiling
from graphprune.backends.tvm.kernels.view import View


@dataclass(frozen=True)
class Cut:
    """`count` strips of `size` along one axis, starting every `step`; they overlap where equal parts do not fit."""

    count: int
    size: int
    step: int


@dataclass(frozen=True)
class Strips:
    """How an output plane is cut: vector (r, c) holds row r, column c of every strip, the strips row by row."""

    rows: Cut
    columns: Cut

    @property
    def vectors(self) -> int:
        """Vectors of a plane."""
        return self.rows.size * self.columns.size

    @property
    def piece(self) -> int:
        """Vectors of a tile, which lies in one row."""
        return -(-self.columns.size // -(-self.columns.size // MOST_VECTORS))

    def cut(self, view: View) -> View:
        """A view [image, channel, height, width] as [image, channel, strip row, row, strip column, column]."""
        (image, channel, down, right), (images, channels) = view.strides, view.shape[:2]
        rows, columns = self.rows, self.columns
        shape = (images, channels, rows.count, rows.size, columns.count, columns.size)
        return replace(view, shape=shape, strides=(image, channel, rows.step * down, down, columns.step * right, right))


def choose_strips(output: tuple[int, int], halo: tuple[int, int], lanes: int) -> Strips:
    """The cut with the fewest loads for a multiply-add; of equals, the one that copies the least."""

    def cost(strips: Strips) -> tuple[float, int]:
        loads = strips.vectors * (1 + 1 / strips.piece)
        return loads, (strips.rows.size + halo[0]) * (strips.columns.size + halo[1])

    rows, columns = (_cuts(extent, lanes) for extent in output)
    return min((Strips(r, c) for r, c in product(rows, columns) if r.count * c.count <= lanes), key=cost)


def _cuts(extent: int, most: int) -> list[Cut]:
    cuts = [Cut(1, extent, 0)]
    for count in range(2, min(most, extent) + 1):
        size = -(-extent // count)
        step, uneven = divmod(extent - size, count - 1)
        if not uneven and step:
            cuts.append(Cut(count, size, step))
    return cuts


@dataclass(frozen=True)
class StripPlanes:
    """The padded input in strips: [image][channel][phase][row of a strip][column of a strip][lane]."""

    padded: PaddedPlanes
    strips: Strips
    lanes: int

    @property
    def rows(self) -> int:
        """Rows of a strip in a phase, halo included."""
        return self.strips.rows.size + self.padded.halo[0]

    @property
    def pitch(self) -> int:
        """Columns of a strip in a phase, halo included."""
        return self.strips.columns.size + self.padded.halo[1]

    @property
    def phases(self) -> int:
        """Phases of a channel."""
        return self.padded.phases[0] * self.padded.phases[1]

    @property
    def vectors(self) -> int:
        """Vectors of a channel."""
        return self.phases * self.rows * self.pitch

    def planes(self, images: int) -> Planes:
        """Where they lie; a channel takes an odd number of vectors, to spread over the cache sets."""
        channels, channel = self.padded.channels, (self.vectors | 1) * self.lanes
        piece, (down, right) = self.strips.piece, self.padded.halo
        halo = ((1 + down) * (piece + right) - piece) * self.lanes
        return Planes(images * channels * channel, channels, channels * channel, channel, phases=self.phases, halo=halo)

    def tap_offsets(self) -> Indices:
        """Offset of each tap from the output's vector, in elements."""
        return self.padded.tap_offsets_within(self.rows, self.pitch) * self.lanes

    def tiling(self) -> Tiling:
        """Tiles of a part of one row of a strip."""
        height, width, piece = self.strips.rows.size, self.strips.columns.size, self.strips.piece
        pieces, span = -(-width // piece), piece * self.lanes
        tile = Tile(0, height * pieces, span, ((0, 0, span),))
        return Tiling(self.pitch * self.lanes, width * self.lanes, (tile,), pieces, span, width * self.lanes)

    def output(self, images: int, channels: int, dtype: str) -> View:
        """The result [image][channel][row][column][lane] as [image, channel, strip row, row, strip column, column]."""
        rows, columns = self.strips.rows, self.strips.columns
        channel = self.strips.vectors * self.lanes
        shape = (images, channels, rows.count, rows.size, columns.count, columns.size)
        strides = (channels * channel, channel, columns.count, columns.size * self.lanes, 1, self.lanes)
        return View(None, images * channels * channel, dtype, shape, strides)


def strip_function(name: str, machine: Machine, x: View, layout: StripPlanes, fill: float = 0.0) -> Expr:
    """The TIR function (x, y): pads a view `x` [image, channel, height, width] with `fill` and cuts it.

    Lanes beyond the strips stay unset; they only reach outputs that are not stored.
    """
    images, padded = x.shape[0], layout.padded
    planes = layout.planes(images)
    rows, columns, lanes = layout.strips.rows, layout.strips.columns, layout.lanes
    shape = (layout.phases, layout.rows, layout.pitch, rows.count, columns.count)
    phase, row = padded.rows * padded.pitch, padded.pitch
    source = View(None, padded.channel_stride, x.dtype, shape, (phase, row, 1, rows.step * row, columns.step))
    steps = (layout.rows * layout.pitch * lanes, layout.pitch * lanes, lanes, columns.count, 1)
    target = View(None, planes.size, x.dtype, shape, steps)
    alone = replace(machine, threads=1)

    def body(kernel: Kernel) -> None:
        with loop(images * padded.channels, parallel=machine.threads > 1) as plane:
            place = (plane // padded.channels, plane % padded.channels)
            whole = scratch(padded.channel_stride, x.dtype)
            pad_plane(machine, padded, x, kernel["x"], place, whole, 0, fill)
            start = bind(plane * planes.channel_stride)
            emit_elementwise(alone, [whole], [source], kernel["y"], target, lambda loads: loads[0], start)

    return build_function(name, [Flat("x", x.size, x.dtype), Flat("y", planes.size, x.dtype)], body)
