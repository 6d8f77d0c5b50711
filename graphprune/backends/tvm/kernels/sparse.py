"""Sparse weight times planes: sparse convolution of any shape, and sparse matrix product.

`y[n, m, p] = sum over the nonzeros j of row m of value[j] * x[n, offset[j] + p]`. Vectors run over positions, so any
pattern of zeros is fully vectorised: one broadcast weight meets a run of loads and multiply-adds. The input channels
are taken in blocks small enough for the tile's part of them to stay near the core. Loads are what bounds it: rows with
common columns (block patterns, and N:M patterns that outputs share) are summed together and share them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tvm import tirx

from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Flat,
    Kernel,
    Machine,
    bind,
    constant,
    loop,
    registers,
    scratch,
    store,
    unrolled_lanes,
)
from graphprune.backends.tvm.kernels.epilogue import Epilogue, no_epilogue
from graphprune.backends.tvm.kernels.planes import plane_function, span_of
from graphprune.backends.tvm.kernels.problem import PlaneProblem
from graphprune.backends.tvm.kernels.tile import TileContext
from graphprune.backends.tvm.kernels.tiling import MOST_VECTORS, chunks, in_half_vectors
from graphprune.layouts import csr

BLOCK_PER_L1 = 0.75
"""The share of the L1 cache that a tile's part of one block of input channels may take (measured)."""

ROW_OF_BLOCK = 16
"""Nonzeros that a row should have in each block, on average."""


ROWS_AHEAD = 4
"""How many rows ahead outputs are prefetched (measured)."""

MOST_IN_16_BITS = np.iinfo(np.uint16).max

HEIGHTS = (1, 2, 4)
"""Neighbouring rows that may be summed together: as many sums as registers hold."""


@dataclass(frozen=True)
class SparseRows:
    """Nonzeros ordered by (channel block, row), for one kernel; `height` output rows make a row, with common offsets.

    `starts` has `blocks * rows + 1` entries into `offsets`, and each of these has `height` values; offsets are in units
    of so many elements of the input planes.
    """

    values: npt.NDArray[np.generic]
    offsets: npt.NDArray[np.uint16] | npt.NDArray[np.int32]
    starts: npt.NDArray[np.int32]
    rows: int
    blocks: int
    height: int = 1
    unit: int = 1

    def arguments(self) -> list[Flat]:
        """The buffers of a kernel that reads them."""
        arrays = {"values": self.values, "offsets": self.offsets, "starts": self.starts}
        return [Flat(name, len(array), str(array.dtype)) for name, array in arrays.items()]

    def offset(self, kernel: Kernel, j: Expr) -> Expr:
        """Offset number `j`, in elements."""
        return tirx.Cast("int32", kernel["offsets"][j]) * self.unit

    def bounds(self, parts: int) -> list[int]:
        """The first row of each of `parts` parts with about as many nonzeros each, and the end."""
        costs = np.diff(self.starts).reshape(self.blocks, self.rows).sum(axis=0) + 1  # an empty row takes time too
        middles = np.cumsum(costs) - costs / 2
        cuts = np.searchsorted(middles, costs.sum() * np.arange(1, parts) / parts)
        return [0, *(int(cut) for cut in cuts), self.rows]


def channels_per_block(problem: PlaneProblem, nonzeros: int) -> int:
    """How many input channels a block holds, for a weight of so many nonzeros.

    A tile's part of the block fits L1, but a row of the block is long enough to be worth picking up its partial sums.
    """
    touched = problem.planes.phases * (problem.tiling.span + problem.planes.halo)
    fitting = int(BLOCK_PER_L1 * problem.machine.l1_bytes / (problem.elements.input_bytes * touched))
    channels = problem.planes.channels
    a_row = nonzeros / (problem.outputs * channels)
    block = max(fitting, math.ceil(ROW_OF_BLOCK / a_row) if a_row else channels)
    return -(-channels // max(1, round(channels / block)))


def common_elements(rows: csr.Rows, height: int) -> int:
    """Return how many elements there are where any of `height` neighbouring rows has a nonzero."""
    return len(rows.values) if height == 1 else height * int(np.count_nonzero(_any_of(rows, height)))


def _any_of(weight: csr.Rows, height: int) -> npt.NDArray[np.bool_]:
    """Return where any of `height` neighbouring rows has a nonzero, [rows of rows, columns]."""
    found = np.zeros((weight.shape[0] // height, weight.shape[1]), np.bool_)
    found[_row_of(weight) // height, weight.columns] = True
    return found


def _row_of(weight: csr.Rows) -> npt.NDArray[np.int64]:
    """Return the row of each nonzero."""
    return np.repeat(np.arange(weight.shape[0]), np.diff(weight.row_offsets))


def sparse_rows(
    weight: csr.Rows,
    tap_offsets: npt.NDArray[np.int32],
    channel_distance: int,
    block: int,
    height: int = 1,
) -> SparseRows:
    """Order the nonzeros of CSR rows for the kernel and scale their offsets.

    Column `c * taps + t` reads `c * channel_distance + tap_offsets[t]`; `block` input channels make one block, `height`
    output rows are summed together.
    """
    rows, taps = weight.shape[0] // height, len(tap_offsets)
    found, output = _any_of(weight, height), _row_of(weight)
    number = (np.cumsum(found) - 1).reshape(found.shape)
    row, column = np.nonzero(found)
    tall = np.zeros((len(row), height), weight.values.dtype)
    tall[number[output // height, weight.columns], output % height] = weight.values
    channel, tap = np.divmod(column, taps)
    channel_block = channel // block
    blocks = int(channel_block.max(initial=0)) + 1
    key = channel_block * rows + row
    order = np.argsort(key, kind="stable")
    starts = np.searchsorted(key[order], np.arange(blocks * rows + 1))
    offsets = (channel * channel_distance + tap_offsets[tap])[order]
    ordered = np.ascontiguousarray(tall[order]).reshape(-1)
    narrow, unit = _in_16_bits(offsets)
    return SparseRows(ordered, narrow, starts.astype(np.int32), rows, blocks, height, unit)


def _in_16_bits(offsets: npt.NDArray[np.signedinteger]) -> tuple[npt.NDArray[np.uint16] | npt.NDArray[np.int32], int]:
    """The offsets in half the bytes, and their unit, where they fit; else as they are.

    Offsets are multiples of whole vectors or rows as a rule: in units of their common divisor most of them fit.
    """
    least, most = int(offsets.min(initial=0)), int(offsets.max(initial=0))
    unit = 1 if most <= MOST_IN_16_BITS else int(np.gcd.reduce(offsets))
    if least < 0 or most > MOST_IN_16_BITS * unit:
        return offsets.astype(np.int32), 1
    return (offsets // unit).astype(np.uint16), unit


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
            sums = [registers(span, dtype) for _ in range(weight.height)]
            places = [bind((row * weight.height + i) * span) for i in range(weight.height)]
            for start, vectors in chunks(tile.tile.span, width, _most_vectors(tile.problem.machine, weight.height)):
                length = min(vectors * width, in_half_vectors(tile.tile.span - start, width))
                _begin(sums, start, length, width, partial if block else None, places)
                _accumulate(tile, weight, sums, start, length, (first, count))
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
    tile: TileContext, weight: SparseRows, sums: Sequence[Expr], start: int, length: int, nonzeros: tuple[Expr, Expr]
) -> None:
    """Sum one chunk of one row's nonzeros of one channel block, of which there are (first, count), in registers."""
    first, count = nonzeros
    width, height = tile.problem.machine.lanes, len(sums)
    with loop(count) as j:
        source = tile.base + weight.offset(tile.kernel, first + j) + start
        for number, total in enumerate(sums):
            value = tile.kernel["values"][(first + j) * height + number]

            def add(i: Expr, total: Expr = total, value: Expr = value) -> None:
                store(total, start + i, total[start + i] + value * tile.x[source + i])

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
