"""The frame shared by all kernels that map planes to planes: batch and tile loops, input tile, epilogue, write-back.

A kernel computes `y[n, m, p]` from planes `x[n, c, ...]`. What differs (sparse rows, dense blocks, depthwise windows)
is only how one tile's sums are formed; the frame hands that code a `TileContext` and stores what comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tvm import tirx
from tvm.tirx.script import builder as T

from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Flat,
    Kernel,
    bind,
    build_function,
    lanes,
    loop,
    registers,
    scratch,
    store,
)
from graphprune.backends.tvm.kernels.epilogue import Epilogue, no_epilogue
from graphprune.backends.tvm.kernels.problem import PlaneProblem, tile_stride
from graphprune.backends.tvm.kernels.tile import TileContext
from graphprune.backends.tvm.kernels.tiling import Tile


def span_of(part: Expr, bounds: Sequence[int]) -> tuple[Expr, Expr]:
    """The first number of a part and how many it has, where part `i` goes from `bounds[i]` to `bounds[i + 1]`."""
    if len(bounds) == 2:
        return bounds[0], bounds[1] - bounds[0]
    ends = registers(2, "int32")  # TVM's simplifiers would put the comparisons in place of each use
    for i, values in enumerate((bounds[:-1], bounds[1:])):
        store(ends, i, _entry(part, values))
    return ends[0], ends[1] - ends[0]


def _entry(index: Expr, values: Sequence[int]) -> Expr:
    """values[index], by comparisons."""
    entry: Expr = tirx.IntImm("int32", values[0])
    for number, value in enumerate(values[1:], 1):
        entry = tirx.Select(index >= number, tirx.IntImm("int32", value), entry)
    return entry


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
        Flat("x", p.planes.size, p.elements.inputs),
        *operands,
        Flat("y", p.images * p.outputs * p.positions, output_dtype),
    ]

    alike = [a.name for a in operands if a.size == p.images * p.outputs * p.positions]

    def body(kernel: Kernel) -> None:
        with loop(p.images * p.tiling.count * p.parts, parallel=p.machine.threads > 1) as job:
            step, part = (bind(job // p.parts), bind(job % p.parts)) if p.parts > 1 else (job, 0)
            image = bind(step // p.tiling.count) if p.images > 1 else 0
            number = bind(step % p.tiling.count) if p.images > 1 else step
            for tile in p.tiling.tiles:
                with _if_of(tile, number, p.tiling.count):
                    _emit_tile(kernel, p, tile, (image, number, part), inner, epilogue, alike)

    return build_function(name, arguments, body)


@contextmanager
def _if_of(tile: Tile, number: Expr, count: int) -> Iterator[None]:
    """Where tile `number` of `count` is one of these."""
    if tile.count == count:
        yield
        return
    with T.If(tirx.all(number >= tile.first, number < tile.first + tile.count)), T.Then():
        yield


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
    copy = scratch(p.planes.channels * stride, p.elements.inputs)
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
    """The channels of a position lie next to each other: load along channels, store with a stride."""
    with loop(tile.span) as i:
        source = bind(base + i * p.planes.position_stride)
        lanes(p.planes.channels, p.machine.lanes, lambda c: store(copy, c * stride + i, x[source + c]))
