"""Unstructured sparse weight times planes: sparse convolution of any shape, and sparse matrix product.

`y[n, m, p] = sum over the nonzeros j of row m of value[j] * x[n, offset[j] + p]`. Vectors run over positions, so any
pattern of zeros is fully vectorised: one broadcast weight meets a run of loads and multiply-adds. The input channels
are taken in blocks small enough for the tile's part of them to stay near the core.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Flat,
    bind,
    constant,
    loop,
    registers,
    scratch,
    store,
    unrolled_lanes,
)
from graphprune.backends.tvm.kernels.planes import (
    Epilogue,
    PlaneProblem,
    TileContext,
    no_epilogue,
    plane_function,
)
from graphprune.backends.tvm.kernels.tiling import MOST_VECTORS, chunks

BLOCK_PER_L1 = 0.75
"""The share of the L1 cache that a tile's part of one block of input channels may take (measured)."""

ROW_OF_BLOCK = 24
"""Nonzeros that a row should have in each block, on average."""


@dataclass(frozen=True)
class SparseRows:
    """Nonzeros ordered by (channel block, output row), for one kernel.

    `starts` has `blocks * rows + 1` entries into `values` and `offsets`; offsets are in elements of the input planes.
    """

    values: npt.NDArray[np.float32]
    offsets: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int32]
    rows: int
    blocks: int


def channels_per_block(problem: PlaneProblem, nonzeros: int) -> int:
    """How many input channels a block holds, for a weight of so many nonzeros.

    A tile's part of the block fits L1, but a row of the block is long enough to be worth picking up its partial sums.
    """
    touched = problem.planes.phases * (problem.tiling.span + problem.planes.halo)
    fitting = int(BLOCK_PER_L1 * problem.machine.l1_bytes / (4 * touched))
    a_row = nonzeros / (problem.outputs * problem.planes.channels)
    return max(fitting, math.ceil(ROW_OF_BLOCK / a_row) if a_row else problem.planes.channels)


def sparse_rows(
    values: npt.NDArray[np.float32],
    columns: npt.NDArray[np.int32],
    row_offsets: npt.NDArray[np.int32],
    tap_offsets: npt.NDArray[np.int32],
    channel_distance: int,
    block: int,
) -> SparseRows:
    """Order the nonzeros of CSR rows for the kernel and scale their offsets.

    Column `c * taps + t` reads `c * channel_distance + tap_offsets[t]`; `block` input channels make one block.
    """
    rows, taps = len(row_offsets) - 1, len(tap_offsets)
    row = np.repeat(np.arange(rows), np.diff(row_offsets))
    channel, tap = np.divmod(columns.astype(np.int64), taps)
    channel_block = channel // block
    blocks = int(channel_block.max(initial=0)) + 1
    key = channel_block * rows + row
    order = np.argsort(key, kind="stable")
    starts = np.searchsorted(key[order], np.arange(blocks * rows + 1))
    offsets = channel * channel_distance + tap_offsets[tap]
    return SparseRows(values[order], offsets[order].astype(np.int32), starts.astype(np.int32), rows, blocks)


def sparse_function(
    name: str,
    problem: PlaneProblem,
    weight: SparseRows,
    operands: Sequence[Flat] = (),
    epilogue: Epilogue = no_epilogue,
    output_dtype: str = "float32",
) -> Expr:
    """The TIR function (x, values, offsets, starts, operands..., y)."""
    arguments = [
        Flat("values", len(weight.values), "float32"),
        Flat("offsets", len(weight.offsets), "int32"),
        Flat("starts", len(weight.starts), "int32"),
        *operands,
    ]

    def inner(tile: TileContext) -> None:
        _all_rows(tile, weight.rows, weight.blocks)

    return plane_function(name, problem, arguments, inner, epilogue, output_dtype)


def _all_rows(tile: TileContext, rows: int, blocks: int) -> None:
    width = tile.problem.machine.lanes
    span = -(-tile.tile.span // width) * width
    partial = scratch(rows * span) if blocks > 1 else None
    for block in range(blocks):
        with loop(rows) as row:
            first = bind(tile.kernel["starts"][block * rows + row])
            count = bind(tile.kernel["starts"][block * rows + row + 1] - first)
            sums = registers(span)
            for start, vectors in chunks(tile.tile.span, width, MOST_VECTORS):
                _accumulate(tile, sums, start, vectors, first, count, partial if block else None, row * span)
            if block < blocks - 1:
                _spill(partial, row * span, sums, span, width)
            else:
                _finish(tile, row, sums, span)


def _spill(partial: Expr, to: Expr, sums: Expr, span: int, width: int) -> None:
    unrolled_lanes(span, width, lambda i: store(partial, to + i, sums[i]))


def _accumulate(
    tile: TileContext, sums: Expr, start: int, vectors: int, first: Expr, count: Expr, partial: Expr, partial_row: Expr
) -> None:
    """Sum one chunk of one row's nonzeros of one channel block in registers."""
    width = tile.problem.machine.lanes
    zero = constant(0.0, "float32")

    def begin(i: Expr) -> None:
        store(sums, start + i, zero if partial is None else partial[partial_row + start + i])

    unrolled_lanes(vectors * width, width, begin)
    with loop(count) as j:
        value = tile.kernel["values"][first + j]
        source = tile.base + tile.kernel["offsets"][first + j] + start
        unrolled_lanes(
            vectors * width,
            width,
            lambda i: store(sums, start + i, sums[start + i] + value * tile.x[source + i]),
        )


def _finish(tile: TileContext, row: Expr, sums: Expr, span: int) -> None:
    """Store one row: from registers where its outputs are one run, else through memory, to cut out the output rows."""
    if len(tile.tile.segments) == 1:
        tile.write(row, sums, in_registers=True)
        return
    width = tile.problem.machine.lanes
    line = scratch(span)
    unrolled_lanes(span, width, lambda i: store(line, i, sums[i]))
    tile.write(row, line)
