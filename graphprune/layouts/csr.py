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

INDEX_LIMIT = int(np.iinfo(np.int32).max)

_MATRIX_RANK = 2
_FLOATING_KINDS = "fV"  # V: ml_dtypes' bfloat16 and float8 are extension types


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
    if dense.ndim != _MATRIX_RANK or dense.dtype.kind not in _FLOATING_KINDS:
        raise InputError(
            f"csr: cannot pack a {dense.ndim}-d {dense.dtype} array, expected a 2-d floating one", code="GP330"
        )
    kept = dense != 0
    row_offsets = np.zeros(dense.shape[0] + 1, np.int64)
    np.cumsum(np.count_nonzero(kept, axis=1), out=row_offsets[1:])
    if max(int(row_offsets[-1]), dense.shape[1]) > INDEX_LIMIT:
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
    arrays = {"values": rows.values, "columns": rows.columns, "row_offsets": rows.row_offsets}
    for name, array in arrays.items():
        if array.ndim != 1:
            return f"{name} has {array.ndim} dimensions, expected 1"
    for name in ("columns", "row_offsets"):
        if arrays[name].dtype != np.int32:
            return f"{name} has dtype {arrays[name].dtype}, expected int32"
    return _offset_defect(rows) or _column_defect(rows)


def _offset_defect(rows: Rows) -> str | None:
    count, offsets = rows.values.size, rows.row_offsets
    if offsets.size != rows.shape[0] + 1:
        return f"row_offsets has {offsets.size} entries, expected {rows.shape[0] + 1}"
    if rows.columns.size != count:
        return f"columns has {rows.columns.size} entries, expected {count}"
    if offsets[0] != 0 or offsets[-1] != count:
        return f"row_offsets run from {offsets[0]} to {offsets[-1]}, expected 0 to {count}"
    falls = np.flatnonzero(offsets[1:] < offsets[:-1])
    if falls.size:
        row = int(falls[0])
        return f"row_offsets fall from {offsets[row]} to {offsets[row + 1]} at row {row}"
    return None


def _column_defect(rows: Rows) -> str | None:
    columns = rows.columns
    outside = np.flatnonzero((columns < 0) | (columns >= rows.shape[1]))
    if outside.size:
        return f"column {columns[outside[0]]} at position {outside[0]} is outside [0, {rows.shape[1]})"
    rises = np.ones(columns.size, np.bool_)
    rises[1:] = columns[1:] > columns[:-1]
    starts = rows.row_offsets[:-1]
    rises[starts[starts < columns.size]] = True
    if not rises.all():
        position = int(np.argmin(rises))
        return f"columns do not increase at position {position}: {columns[position - 1]} then {columns[position]}"
    return None
