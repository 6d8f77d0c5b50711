"""Depthwise convolution and pooling: each output channel is a window sliding over one input channel.

One plane at a time is padded into scratch memory near the core, then every output is a few taps at constant offsets.
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
    loop,
    registers,
    scratch,
    store,
    unrolled_lanes,
)
from graphprune.backends.tvm.kernels.pad import PaddedPlanes, pad_plane
from graphprune.backends.tvm.kernels.planes import Epilogue, PlaneProblem, Planes, TileContext, no_epilogue
from graphprune.backends.tvm.kernels.tiling import MOST_VECTORS, chunks, tile_rows
from graphprune.backends.tvm.view import View

ROW_VECTORS = 2
"""Rows of at least so many vectors are tiles of their own: their outputs go from registers to their place."""

UNROLLED_TAPS = 32
"""Windows of more taps loop over the taps."""

Combine = Callable[[Kernel, Expr, Expr, Expr, Expr], Expr]
"""(kernel, output channel, tap, total so far or None, element) -> new total."""


@dataclass(frozen=True)
class Sliding:
    """A window's sum: `fill` outside the input, `combine` over the taps, `multiplier` outputs an input channel."""

    fill: float
    combine: Combine
    multiplier: int = 1


def weighted(taps: int, multiplier: int) -> Sliding:
    """Depthwise convolution with the operand `weight` [output channels][taps]."""

    def combine(kernel: Kernel, channel: Expr, tap: Expr, total: Expr, element: Expr) -> Expr:
        product = kernel["weight"][channel * taps + tap] * element
        return product if total is None else total + product

    return Sliding(0.0, combine, multiplier)


SUM = Sliding(0.0, lambda _kernel, _channel, _tap, total, x: x if total is None else total + x)
MAXIMUM = Sliding(float("-inf"), lambda _kernel, _channel, _tap, total, x: x if total is None else tirx.max(total, x))


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

    `offsets` are the layout's tap offsets; `y` is [image][output channel][position].
    """
    images, outputs, (height, width) = x.shape[0], layout.channels * sliding.multiplier, layout.output
    most = 1 if width >= ROW_VECTORS * machine.lanes else height
    tiling = tile_rows(height, width, layout.pitch, machine.lanes, most)
    problem = PlaneProblem(machine, images, outputs, height * width, Planes(0, 0, 0, 0), tiling)
    offsets = [int(offset) for offset in layout.tap_offsets()]

    def body(kernel: Kernel) -> None:
        with loop(images * outputs, parallel=machine.threads > 1) as plane:
            image, channel = bind(plane // outputs), bind(plane % outputs)
            padded = scratch(layout.channel_stride + MOST_VECTORS * machine.lanes, x.dtype)
            place = (image, channel // sliding.multiplier)
            pad_plane(machine, layout, x, kernel["x"], place, padded, 0, sliding.fill)
            for tile in tiling.tiles:
                with loop(tile.count) as step:
                    number = bind(step + tile.first)
                    start = bind(number * tiling.output_step)
                    base = bind(number * tiling.input_step)
                    context = TileContext(kernel, tile, padded, base, image, start, problem, epilogue)
                    _slide(context, channel, sliding, offsets, x.dtype)

    arguments = [Flat("x", x.size, x.dtype), *operands, Flat("offsets", len(offsets), "int32")]
    size = images * outputs * height * width
    return build_function(name, [*arguments, Flat("y", size, output_dtype)], body)


def _slide(tile: TileContext, channel: Expr, sliding: Sliding, offsets: list[int], dtype: str) -> None:
    """Compute one channel's tile and store it."""
    width = tile.problem.machine.lanes
    span = -(-tile.tile.span // width) * width
    line = scratch(span, dtype)
    for start, vectors in chunks(tile.tile.span, width, MOST_VECTORS):
        sums = registers(vectors * width, dtype)
        _taps(tile, channel, sliding, offsets, sums, start, vectors * width)
        if tile.is_one_run(vectors):
            tile.write(channel, sums, in_registers=True)
            return
        _keep(line, start, sums, vectors * width, width)
    tile.write(channel, line)


def _keep(line: Expr, start: int, sums: Expr, count: int, width: int) -> None:
    unrolled_lanes(count, width, lambda i: store(line, start + i, sums[i]))


def _taps(
    tile: TileContext, channel: Expr, sliding: Sliding, offsets: list[int], sums: Expr, start: int, count: int
) -> None:
    """Combine all taps of `count` neighbouring outputs in registers."""
    width = tile.problem.machine.lanes

    def combine(tap: Expr, offset: Expr, *, first: bool) -> None:
        source = tile.base + offset + start

        def element(i: Expr) -> None:
            total = None if first else sums[i]
            store(sums, i, sliding.combine(tile.kernel, channel, tap, total, tile.x[source + i]))

        unrolled_lanes(count, width, element)

    combine(0, offsets[0], first=True)
    if len(offsets) <= UNROLLED_TAPS:
        for tap, offset in enumerate(offsets[1:], 1):
            combine(tap, offset, first=False)
    else:
        with loop(len(offsets) - 1) as previous:
            combine(previous + 1, tile.kernel["offsets"][previous + 1], first=False)
