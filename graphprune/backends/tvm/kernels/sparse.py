"""Sparse weight times planes: sparse convolution of any shape, and sparse matrix product.

`y[n, m, p] = sum over the nonzeros j of row m of value[j] * x[n, offset[j] + p]`. Vectors run over positions, so any
pattern of zeros is fully vectorised: one broadcast weight meets a run of loads and multiply-adds. The input channels
are taken in blocks small enough for the tile's part of them to stay near the core. Loads are what bounds it: rows with
common columns (block patterns, and N:M patterns that outputs share) are summed together and share them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Flat,
    Machine,
    bind,
    constant,
    loop,
    registers,
    scratch,
    store,
    unrolled_lanes,
)
from graphprune.backends.tvm.kernels.dot import multiply_and_add
from graphprune.backends.tvm.kernels.epilogue import Epilogue, no_epilogue
from graphprune.backends.tvm.kernels.planes import plane_function, span_of
from graphprune.backends.tvm.kernels.problem import PlaneProblem
from graphprune.backends.tvm.kernels.sparse_rows import SparseRows
from graphprune.backends.tvm.kernels.tile import TileContext
from graphprune.backends.tvm.kernels.tiling import MOST_VECTORS, chunks, in_half_vectors

BLOCK_PER_L1 = 0.75
"""The share of the L1 cache that a tile's part of one block of input channels may take (measured)."""

ROW_OF_BLOCK = 16
"""Nonzeros that a row should have in each block, on average."""

TILE_VECTORS = 4
"""Vectors of a tile of positions, as a rule: as many sums as hide the latency of one multiply-add a cycle."""

TILE_SHORT_VECTORS = 6
"""The same of shorter vectors than 512 bits: more sums hide the latency of two multiply-adds a cycle (Zen 3)."""

ROWS_AHEAD = 4
"""How many rows ahead outputs are prefetched (measured)."""


def channels_per_block(problem: PlaneProblem, nonzeros: int) -> int:
    """How many input channels a block holds, for a weight of so many nonzeros.

    A tile's part of the block fits L1, but a row of the block is long enough to be worth picking up its partial sums.
    """
    touched = problem.planes.phases * (problem.tiling.span + problem.planes.halo)
    fitting = _channels_in_l1(problem.machine, problem.elements.input_bytes * touched)
    channels = problem.planes.channels
    a_row = nonzeros / (problem.outputs * channels)
    block = max(fitting, math.ceil(ROW_OF_BLOCK / a_row) if a_row else channels)
    return -(-channels // max(1, round(channels / block)))


def tile_vectors(machine: Machine, positions: int, a_channel: float) -> int:
    """How many vectors a tile of one tap has, for rows of so many nonzeros a channel on average, and two sums a cycle.

    A wide tile shares a weight and its place among more multiply-adds, but fewer channels of it fit L1, and rows of few
    nonzeros then come apart. A tile of all positions reads each weight once.
    """
    if positions <= MOST_VECTORS * machine.lanes:
        return MOST_VECTORS
    fewest = TILE_SHORT_VECTORS if machine.has_short_vectors else TILE_VECTORS
    wide = range(MOST_VECTORS, fewest, -2)
    rows = {vectors: a_channel * _channels_in_l1(machine, 4 * vectors * machine.lanes) for vectors in wide}
    return next((vectors for vectors, row in rows.items() if row >= ROW_OF_BLOCK), fewest)


def _channels_in_l1(machine: Machine, channel_bytes: int) -> int:
    """How many channels a block may have, of which a tile reads so many bytes each."""
    return int(BLOCK_PER_L1 * machine.l1_bytes / channel_bytes)


def sparse_function(
    name: str,
    problem: PlaneProblem,
    weight: SparseRows,
    operands: Sequence[Flat] = (),
    epilogue: Epilogue = no_epilogue,
    output_dtype: str = "float32",
) -> Expr:
    """The TIR function (x, values, offsets, starts, operands..., y)."""
    arguments = [*weight.arguments(), *operands]

    def inner(tile: TileContext) -> None:
        _all_rows(tile, weight)

    return plane_function(name, problem, arguments, inner, epilogue, output_dtype)


def _all_rows(tile: TileContext, weight: SparseRows) -> None:
    width = tile.problem.machine.lanes
    span = -(-tile.tile.span // width) * width
    dtype = tile.problem.elements.sums
    partial = scratch(weight.rows * weight.height * span, dtype) if weight.blocks > 1 else None
    begin, count_of_rows = span_of(tile.part, weight.bounds(tile.problem.parts))
    for block in range(weight.blocks):
        with loop(count_of_rows) as number_of_row:
            row = bind(begin + number_of_row)
            tile.prefetch_next(block * weight.rows + row, weight.blocks * weight.rows)
            if block == weight.blocks - 1 and weight.height == 1:
                tile.prefetch_outputs(row + ROWS_AHEAD)
            first = bind(tile.kernel["starts"][block * weight.rows + row])
            count = bind(tile.kernel["starts"][block * weight.rows + row + 1] - first)
            values = weight.row_values(tile.kernel, first, count, width)
            sums = [registers(span, dtype) for _ in range(weight.height)]
            places = [bind((row * weight.height + i) * span) for i in range(weight.height)]
            for start, vectors in chunks(tile.tile.span, width, _most_vectors(tile.problem.machine, weight.height)):
                length = min(vectors * width, in_half_vectors(tile.tile.span - start, width))
                _begin(sums, start, length, width, partial if block else None, places)
                _accumulate(tile, weight, sums, (block, start, length), (first, count), values)
            for number, total in enumerate(sums):
                if block < weight.blocks - 1:
                    _spill(partial, places[number], total, in_half_vectors(tile.tile.span, width), width)
                else:
                    _finish(tile, row * weight.height + number, total, span)


def _most_vectors(machine: Machine, height: int) -> int:
    """Vectors of positions whose sums and, where several rows share them, inputs fit the registers."""
    return MOST_VECTORS if height == 1 else min(MOST_VECTORS, (machine.registers - 1) // (height + 1))


def _begin(sums: Sequence[Expr], start: int, length: int, width: int, partial: Expr, places: Sequence[Expr]) -> None:
    """Start from zero, or from what the blocks before have come to."""
    for total, place in zip(sums, places, strict=True):

        def begin(i: Expr, total: Expr = total, place: Expr = place) -> None:
            none = constant(0, total.dtype)
            store(total, start + i, none if partial is None else partial[place + start + i])

        unrolled_lanes(length, width, begin)


def _spill(partial: Expr, to: Expr, sums: Expr, span: int, width: int) -> None:
    unrolled_lanes(span, width, lambda i: store(partial, to + i, sums[i]))


def _accumulate(
    tile: TileContext,
    weight: SparseRows,
    sums: Sequence[Expr],
    chunk: tuple[int, int, int],
    nonzeros: tuple[Expr, Expr],
    values: Callable[[Expr], Expr],
) -> None:
    """Sum one chunk, (block, start, length), of one row's nonzeros, of which there are (first, count), in registers."""
    (block, start, length), (first, count) = chunk, nonzeros
    width, height, elements = tile.problem.machine.lanes, len(sums), tile.problem.elements
    with loop(count) as j:
        source = tile.base + block * weight.step + weight.offset(tile.kernel, first + j) + start
        for number, total in enumerate(sums):
            value = values(j * height + number)

            def add(i: Expr, total: Expr = total, value: Expr = value) -> None:
                store(total, start + i, multiply_and_add(elements, total[start + i], value, tile.x[source + i]))

            unrolled_lanes(length, width, add)


def _finish(tile: TileContext, row: Expr, sums: Expr, span: int) -> None:
    """Store one row: from registers where its outputs are one run, else through memory, to cut out the output rows."""
    if len(tile.tile.segments) == 1:
        tile.write(row, sums, in_registers=True)
        return
    width = tile.problem.machine.lanes
    line = scratch(span, tile.problem.elements.sums)
    unrolled_lanes(span, width, lambda i: store(line, i, sums[i]))
    tile.write(row, line)
