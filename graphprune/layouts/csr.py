"""Compressed sparse rows: the layout of unstructured weights.

A weight is seen as a matrix with one row an output feature. Row `r` keeps its nonzeros as `values[s:e]` at the columns
`columns[s:e]`, where `s, e = row_offsets[r], row_offsets[r + 1]`; columns increase strictly within a row.

What counts as zero is what compares equal to it, so a negative zero is dropped and comes back as a positive one.
Everything else, NaN, infinities and denormals included, comes back bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from graphprune.errors import InputError
from graphprune.layouts import checks


@dataclass(frozen=True)
class Rows:
    """A sparse matrix in compressed sparse rows.

    Attributes:
        values: The nonzeros in row-major order, floating, shape [nonzeros].
        columns: The column of each value, int32, shape [nonzeros].
        row_offsets: Where each row starts in `values`, and the end, int32, shape [rows + 1].
        shape: (rows, columns) of the dense matrix.
    """

    values: npt.NDArray[Any]
    columns: npt.NDArray[np.int32]
    row_offsets: npt.NDArray[np.int32]
    shape: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Bytes of the three arrays."""
        return self.values.nbytes + self.columns.nbytes + self.row_offsets.nbytes


def pack(dense: npt.NDArray[Any]) -> Rows:
    """Pack a dense floating matrix of shape [rows, columns].

    Raises:
        InputError: It is not a floating matrix, or is too large for int32 offsets.
    """
    checks.check_matrix("csr", dense)
    kept = dense != 0
    row_offsets = checks.offsets_of(np.count_nonzero(kept, axis=1))
    if max(int(row_offsets[-1]), dense.shape[1]) > checks.INDEX_LIMIT:
        raise InputError(
            f"csr: {row_offsets[-1]} nonzeros in {dense.shape[1]} columns exceed int32 offsets", code="GP330"
        )
    columns = np.flatnonzero(kept)
    columns -= np.repeat(np.arange(dense.shape[0]) * dense.shape[1], np.diff(row_offsets))
    shape = (dense.shape[0], dense.shape[1])
    return Rows(dense[kept], columns.astype(np.int32), row_offsets.astype(np.int32), shape)


def unpack(rows: Rows) -> npt.NDArray[Any]:
    """The dense matrix again, shape [rows, columns], in the dtype of the values.

    Raises:
        InputError: The rows are damaged; see `find_defect`.
    """
    defect = find_defect(rows)
    if defect is not None:
        raise InputError(f"csr: {defect}", code="GP331")
    dense = np.zeros(rows.shape, rows.values.dtype)
    row_ids = np.repeat(np.arange(rows.shape[0]), np.diff(rows.row_offsets))
    dense[row_ids, rows.columns] = rows.values
    return dense


def is_valid(rows: Rows) -> bool:
    """Whether every offset and column may be followed without leaving the arrays."""
    return find_defect(rows) is None


def find_defect(rows: Rows) -> str | None:
    """What is wrong with the rows, in one line, or None: what a kernel relies on is checked here and nowhere else."""
    count = rows.values.size
    return (
        checks.values_defect("values", rows.values, 1)
        or checks.array_defect("columns", rows.columns, 1, np.int32)
        or checks.array_defect("row_offsets", rows.row_offsets, 1, np.int32)
        or checks.shape_defect(rows.shape)
        or checks.size_defect("columns", rows.columns, count)
        or checks.offset_defect("row_offsets", rows.row_offsets, rows.shape[0], count)
        or checks.column_defect(rows.columns, rows.row_offsets, rows.shape[1])
    )
