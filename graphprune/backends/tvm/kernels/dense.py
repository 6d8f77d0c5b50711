"""Dense weight times planes: dense and grouped convolution of any shape, and matrix product with a constant weight.

`y[n, m, p] = sum over k of weight[m, k] * x[n, offset[k] + p]`, in register tiles of several output channels by several
vectors of positions. The weight is packed as [block of channels][k][channel in the block].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Flat,
    Machine,
    bind,
    constant,
    loop,
    registers,
    scratch,
    select_last,
    store,
    unrolled_lanes,
)
from graphprune.backends.tvm.kernels.dot import adds_products, multiply_and_add
from graphprune.backends.tvm.kernels.elements import FLOAT32, Elements
from graphprune.backends.tvm.kernels.epilogue import Epilogue, no_epilogue
from graphprune.backends.tvm.kernels.planes import plane_function, span_of
from graphprune.backends.tvm.kernels.problem import PlaneProblem
from graphprune.backends.tvm.kernels.tile import TileContext
from graphprune.backends.tvm.kernels.tiling import chunks, in_half_vectors

VECTORS_TO_HALVE = 3
"""Register tiles of fewer vectors are bound by the loads of weights, and gain nothing from half a vector less."""


@dataclass(frozen=True)
class DenseBlocks:
    """How the kernel's weight is packed: [groups][blocks][depth][rows].

    `outputs` and `inputs` are channels of one group; `depth` is inputs times taps; `vectors` is the width of the
    register tile, `rows` its height.
    """

    groups: int
    outputs: int
    inputs: int
    depth: int
    rows: int
    vectors: int
    dtype: str = "float32"

    @property
    def blocks(self) -> int:
        """Blocks of output channels in a group."""
        return -(-self.outputs // self.rows)

    @property
    def size(self) -> int:
        """Elements of the packed weight."""
        return self.groups * self.blocks * self.depth * self.rows


REGISTER_TILES = {32: ((6, 4), (8, 3), (12, 2), (24, 1)), 16: ((4, 3), (6, 2), (12, 1))}
"""Registers of a machine -> the largest tiles, (rows, vectors), whose sums, inputs and one weight fit in them."""


def most_rows(machine: Machine, vectors: int) -> int:
    """Of a register tile of so many vectors."""
    return next(rows for rows, wide in REGISTER_TILES[machine.registers] if wide == vectors)


def register_tile(machine: Machine, span: int, outputs: int, elements: Elements = FLOAT32) -> tuple[int, int]:
    """(rows, vectors) of the tile that wastes the least for tiles of `span` positions and `outputs` channels."""
    spare = machine.registers - 1 - (not adds_products(elements))
    fitting = [(rows, wide) for rows, wide in REGISTER_TILES[machine.registers] if (rows + 1) * wide <= spare]
    available = -(-span // machine.lanes)

    def cost(shape: tuple[int, int]) -> tuple[float, int]:
        rows, vectors = shape
        computed = -(-outputs // rows) * rows * sum(v for _, v in chunks(span, machine.lanes, vectors))
        loads = 1 / rows + 1 / min(vectors, available)
        return computed * (1 + 0.25 * loads), -vectors

    rows, vectors = min(fitting, key=cost)
    return min(rows, outputs), min(vectors, available)


def dense_blocks(
    weight: npt.NDArray[np.generic], groups: int, rows: int, vectors: int
) -> tuple[DenseBlocks, npt.NDArray[np.generic]]:
    """Pack a weight [groups * outputs, inputs, taps] for register tiles of `rows` channels, with zero rows behind."""
    outputs, inputs, depth = weight.shape[0] // groups, weight.shape[1], weight.shape[1] * weight.shape[2]
    packed = DenseBlocks(groups, outputs, inputs, depth, rows, vectors, str(weight.dtype))
    padded = np.zeros((groups, packed.blocks * rows, depth), weight.dtype)
    padded[:, :outputs] = weight.reshape(groups, outputs, depth)
    values = padded.reshape(groups, packed.blocks, rows, depth).transpose(0, 1, 3, 2)
    return packed, np.ascontiguousarray(values)


def tap_table(channels: int, tap_offsets: npt.NDArray[np.int32], channel_distance: int) -> npt.NDArray[np.int32]:
    """Input offsets of depth index `c * taps + t`, in elements."""
    return (np.arange(channels)[:, None] * channel_distance + tap_offsets[None, :]).ravel().astype(np.int32)


def dense_function(
    name: str,
    problem: PlaneProblem,
    weight: DenseBlocks,
    channel_distance: int,
    operands: Sequence[Flat] = (),
    epilogue: Epilogue = no_epilogue,
    output_dtype: str = "float32",
) -> Expr:
    """The TIR function (x, weight, offsets, operands..., y)."""
    values = Flat("weight", weight.size, weight.dtype)
    arguments = [values, Flat("offsets", weight.depth, "int32"), *operands]

    def inner(tile: TileContext) -> None:
        whole = len(tile.tile.segments) > 1
        line = scratch(weight.rows * _padded(tile), problem.elements.sums) if whole else None
        blocks, parts = weight.groups * weight.blocks, problem.parts
        begin, count = span_of(tile.part, [part * blocks // parts for part in range(parts + 1)])
        with loop(count) as number:
            block = bind(begin + number)
            group = block // weight.blocks if weight.groups > 1 else 0
            base = bind(tile.base + group * (weight.inputs * channel_distance))
            for row in range(weight.rows):
                tile.prefetch_outputs(_first_channel(weight, block) + row)
            for start, vectors in chunks(tile.tile.span, problem.machine.lanes, weight.vectors):
                sums = _register_tile(tile, weight, block, base, start, vectors)
                if line is None:
                    _write_chunk(tile, weight, block, sums, start, vectors)
                else:
                    _keep(tile, sums, start, vectors, line)
            if line is not None:
                _write_block(tile, weight, block, line)

    return plane_function(name, problem, arguments, inner, epilogue, output_dtype)


def _padded(tile: TileContext) -> int:
    width = tile.problem.machine.lanes
    return -(-tile.tile.span // width) * width


def _register_tile(
    tile: TileContext, weight: DenseBlocks, block: Expr, base: Expr, start: int, vectors: int
) -> list[Expr]:
    """The sums of the block's rows, in registers."""
    problem, width = tile.problem, tile.problem.machine.lanes
    wide = vectors * width
    if vectors >= VECTORS_TO_HALVE:
        wide = min(wide, in_half_vectors(tile.tile.span - start, width))
    sums = [registers(vectors * width, problem.elements.sums) for _ in range(weight.rows)]
    for total in sums:
        unrolled_lanes(wide, width, partial(clear, total))
    with loop(weight.depth) as k:
        source = bind(base + tile.kernel["offsets"][k] + start)
        values = bind((block * weight.depth + k) * weight.rows)
        for row, total in enumerate(sums):
            value = tile.kernel["weight"][values + row]
            add = partial(multiply_add, total, value, tile.x, source, elements=problem.elements)
            unrolled_lanes(wide, width, add)
    return sums


def _keep(tile: TileContext, sums: Sequence[Expr], start: int, vectors: int, line: Expr) -> None:
    """Put the sums of a chunk into memory, where the rows of the output are cut out."""
    width = tile.problem.machine.lanes
    for row, total in enumerate(sums):
        unrolled_lanes(vectors * width, width, partial(copy_lanes, line, row * _padded(tile) + start, total))


def clear(total: Expr, i: Expr) -> None:
    """total[i] = 0."""
    store(total, i, constant(0, total.dtype))


def multiply_add(total: Expr, value: Expr, x: Expr, source: Expr, i: Expr, elements: Elements = FLOAT32) -> None:
    """total[i] += value * x[source + i]."""
    store(total, i, multiply_and_add(elements, total[i], value, x[source + i]))


def copy_lanes(target: Expr, to: Expr, source: Expr, i: Expr) -> None:
    """target[to + i] = source[i]."""
    store(target, to + i, source[i])


def _first_channel(weight: DenseBlocks, block: Expr) -> Expr:
    """The first output channel of a block."""
    if weight.groups == 1:
        return bind(block * weight.rows)
    return bind(block // weight.blocks * weight.outputs + block % weight.blocks * weight.rows)


def _write_block(tile: TileContext, weight: DenseBlocks, block: Expr, line: Expr) -> None:
    """Write the block's channels out of memory."""

    def rows_of(first: Expr, count: int) -> None:
        with loop(count) as row:
            tile.write(first + row, line, row * _padded(tile))

    _each_block(weight, block, rows_of)


def _write_chunk(
    tile: TileContext, weight: DenseBlocks, block: Expr, sums: Sequence[Expr], start: int, vectors: int
) -> None:
    """Write a chunk of the block's channels out of registers."""

    def rows_of(first: Expr, count: int) -> None:
        for row in range(count):
            tile.write_chunk(first + row, sums[row], start, vectors * tile.problem.machine.lanes)

    _each_block(weight, block, rows_of)


def _each_block(weight: DenseBlocks, block: Expr, rows_of: Callable[[Expr, int], None]) -> None:
    """Emit `rows_of` the block's first channel and how many it has; the last block of a group may hold fewer."""
    last = weight.outputs - (weight.blocks - 1) * weight.rows
    in_group = block % weight.blocks if weight.groups > 1 else block
    first = _first_channel(weight, block)

    def emit(*, is_last: bool) -> None:
        rows_of(first, last if is_last else weight.rows)

    if last == weight.rows:
        rows_of(first, last)
    else:
        select_last(in_group, weight.blocks, emit)
