"""Block compressed sparse rows: the layout of weights of which whole blocks are zero.

The matrix is cut into blocks of `rows` by `columns`. Block row `r` keeps the blocks that hold a nonzero as
`values[s:e]` at the block columns `columns[s:e]`, where `s, e = row_offsets[r], row_offsets[r + 1]`; block columns
increase strictly within a block row. The same as `scipy.sparse.bsr_array`.

Blocks that are kept come back bit for bit, negative zeros included; blocks that hold only zeros, of either sign, come
back as positive ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from graphprune.errors import InputError
from graphprune.layouts import checks

_RANK = 3


@dataclass(frozen=True)
class BlockRows:
    """A sparse matrix in rows of dense blocks.

    Attributes:
        values: The blocks that are kept, floating, shape [blocks, rows of a block, columns of a block].
        columns: The block column of each block, int32, shape [blocks].
        row_offsets: Where each block row starts in `values`, and the end, int32, shape [block rows + 1].
        shape: (rows, columns) of the dense matrix, multiples of those of a block.
    """

    values: npt.NDArray[Any]
    columns: npt.NDArray[np.int32]
    row_offsets: npt.NDArray[np.int32]
    shape: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Bytes of the three arrays."""
        return self.values.nbytes + self.columns.nbytes + self.row_offsets.nbytes


def pack(dense: npt.NDArray[Any], block: tuple[int, int]) -> BlockRows:
    """Pack a dense floating matrix of shape [rows, columns].

    Args:
        dense: The matrix.
        block: Rows and columns of a block.

    Raises:
        InputError: It is not a floating matrix, blocks do not divide it, or it is too large for int32 offsets (GP330).
    """
    checks.check_matrix("blocks", dense)
    shape = (dense.shape[0], dense.shape[1])
    defect = _division_defect(shape, block)
    if defect is not None:
        raise InputError(f"blocks: {defect}", code="GP330")
    grid = _grid(dense, block)
    kept = (grid != 0).any(axis=(2, 3))
    row_offsets = checks.offsets_of(np.count_nonzero(kept, axis=1))
    if max(int(row_offsets[-1]), kept.shape[1]) > checks.INDEX_LIMIT:
        raise InputError(
            f"blocks: {row_offsets[-1]} blocks in {kept.shape[1]} block columns exceed int32 offsets", code="GP330"
        )
    return BlockRows(grid[kept], np.nonzero(kept)[1].astype(np.int32), row_offsets.astype(np.int32), shape)


def unpack(rows: BlockRows) -> npt.NDArray[Any]:
    """The dense matrix again, shape [rows, columns], in the dtype of the values.

    Raises:
        InputError: The rows are damaged (GP331); see `find_defect`.
    """
    defect = find_defect(rows)
    if defect is not None:
        raise InputError(f"blocks: {defect}", code="GP331")
    dense = np.zeros(rows.shape, rows.values.dtype)
    grid = _grid(dense, rows.values.shape[1:])
    grid[np.repeat(np.arange(grid.shape[0]), np.diff(rows.row_offsets)), rows.columns] = rows.values
    return dense


def is_valid(rows: BlockRows) -> bool:
    """Whether every offset and block column may be followed without leaving the arrays."""
    return find_defect(rows) is None


def find_defect(rows: BlockRows) -> str | None:
    """What is wrong with the rows, in one line, or None: what a kernel relies on is checked here and nowhere else."""
    return (
        checks.values_defect("values", rows.values, _RANK)
        or checks.array_defect("columns", rows.columns, 1, np.int32)
        or checks.array_defect("row_offsets", rows.row_offsets, 1, np.int32)
        or checks.shape_defect(rows.shape)
        or _division_defect(rows.shape, rows.values.shape[1:])
        or checks.size_defect("columns", rows.columns, len(rows.values))
        or checks.offset_defect("row_offsets", rows.row_offsets, _block_rows(rows), len(rows.values))
        or checks.column_defect(rows.columns, rows.row_offsets, rows.shape[1] // rows.values.shape[2])
    )


def _block_rows(rows: BlockRows) -> int:
    return int(rows.shape[0] // rows.values.shape[1])


def _division_defect(shape: tuple[int, int], block: tuple[int, ...]) -> str | None:
    if min(block) < 1:
        return f"blocks of {block[0]} by {block[1]} are empty"
    if shape[0] % block[0] or shape[1] % block[1]:
        return f"{shape[0]} rows by {shape[1]} columns, no multiple of {block[0]} by {block[1]}"
    return None


def _grid(dense: npt.NDArray[Any], block: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return the matrix as [block rows, block columns, rows, columns]; a view where it is contiguous."""
    rows, columns = block
    return dense.reshape(dense.shape[0] // rows, rows, dense.shape[1] // columns, columns).swapaxes(1, 2)
