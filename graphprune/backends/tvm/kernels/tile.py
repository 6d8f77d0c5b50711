"""One tile of a plane: the addresses of its input and outputs, and what is prefetched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Kernel,
    LaneBody,
    bind,
    lanes,
    loop,
    prefetch,
    store,
    unrolled_lanes,
)
from graphprune.backends.tvm.kernels.elements import itemsize, lanes_of
from graphprune.backends.tvm.kernels.epilogue import Epilogue
from graphprune.backends.tvm.kernels.problem import PlaneProblem
from graphprune.backends.tvm.kernels.tiling import Tile, in_half_vectors

FAR_PER_L2 = 2
"""Planes of so many times the L2 cache's size are fetched ahead (measured)."""


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
    """Where the next tile of the same image starts in the input."""
    alike: Sequence[str] = ()
    """Operands as large as the output, which are taken to lie in its order."""

    def prefetch_next(self, step: Expr, steps: int) -> None:
        """Prefetch one of `steps` parts of the next tile's input, if the planes are too large to stay in cache."""
        p = self.problem
        if p.planes.size * p.elements.input_bytes < FAR_PER_L2 * p.machine.l2_bytes or p.planes.position_stride != 1:
            return
        share = -(-p.planes.channels // steps)
        with loop(share) as i:
            place = bind(self.following + (step * share + i) * p.planes.channel_stride)
            for first in range(0, self.tile.span, p.machine.lanes):
                prefetch(self.kernel["x"], place + first)

    def prefetch_outputs(self, channel: Expr) -> None:
        """Prefetch the addresses that `write` of this channel stores to and reads operands from."""
        p = self.problem
        written = p.images * p.outputs * p.positions * itemsize(self.kernel["y"].dtype)
        if written < FAR_PER_L2 * p.machine.l2_bytes:
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
        self._store(each, wide if wide <= left else length, element)

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

        self._store(unrolled_lanes, min(count, length - start), element)

    def _store(self, each: Callable[[int, int, LaneBody], None], count: int, element: LaneBody) -> None:
        """Emit the elements 0..count-1 in vectors of the outputs' type as far as they go, then in those of sums."""
        width = lanes_of(self.problem.machine, self.kernel["y"].dtype)
        whole = count // width * width
        each(whole, width, element)
        each(count - whole, self.problem.machine.lanes, lambda i: element(whole + i))
