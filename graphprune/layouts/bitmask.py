"""Bit masks: the layout of unstructured weights of moderate sparsity, one bit an element beside the nonzeros.

Row `r` keeps its nonzeros as `values[s:e]`, where `s, e = row_offsets[r], row_offsets[r + 1]`. Bit `c % 8` of byte
`c // 8` of `bits[r]`, the least significant bit first, says whether column `c` is among them; bits behind the last
column are 0. Smaller than compressed rows (`csr`) of float32 values wherever more than 1 in 32 elements is kept.

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

_BYTE = 8


@dataclass(frozen=True)
class MaskedRows:
    """A sparse matrix as its nonzeros and a bit an element.

    Attributes:
        values: The nonzeros in row-major order, floating, shape [nonzeros].
        bits: Which elements they are, uint8, shape [rows, ceil(columns / 8)].
        row_offsets: Where each row starts in `values`, and the end, int32, shape [rows + 1].
        shape: (rows, columns) of the dense matrix.
    """

    values: npt.NDArray[Any]
    bits: npt.NDArray[np.uint8]
    row_offsets: npt.NDArray[np.int32]
    shape: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Bytes of the three arrays."""
        return self.values.nbytes + self.bits.nbytes + self.row_offsets.nbytes


def pack(dense: npt.NDArray[Any]) -> MaskedRows:
    """Pack a dense floating matrix of shape [rows, columns].

    Raises:
        InputError: It is not a floating matrix, or has too many nonzeros for int32 offsets (GP330).
    """
    checks.check_matrix("bitmask", dense)
    kept = dense != 0
    row_offsets = checks.offsets_of(np.count_nonzero(kept, axis=1))
    if row_offsets[-1] > checks.INDEX_LIMIT:
        raise InputError(f"bitmask: {row_offsets[-1]} nonzeros exceed int32 offsets", code="GP330")
    bits = np.packbits(kept, axis=1, bitorder="little")
    return MaskedRows(dense[kept], bits, row_offsets.astype(np.int32), (dense.shape[0], dense.shape[1]))


def unpack(rows: MaskedRows) -> npt.NDArray[Any]:
    """The dense matrix again, shape [rows, columns], in the dtype of the values.

    Raises:
        InputError: The rows are damaged (GP331); see `find_defect`.
    """
    defect = find_defect(rows)
    if defect is not None:
        raise InputError(f"bitmask: {defect}", code="GP331")
    dense = np.zeros(rows.shape, rows.values.dtype)
    dense[_unpacked(rows)[:, : rows.shape[1]]] = rows.values
    return dense


def is_valid(rows: MaskedRows) -> bool:
    """Whether every row has as many bits as values, and none behind its last column."""
    return find_defect(rows) is None


def find_defect(rows: MaskedRows) -> str | None:
    """What is wrong with the rows, in one line, or None: what a kernel relies on is checked here and nowhere else."""
    return (
        checks.values_defect("values", rows.values, 1)
        or checks.array_defect("bits", rows.bits, 2, np.uint8)
        or checks.array_defect("row_offsets", rows.row_offsets, 1, np.int32)
        or checks.shape_defect(rows.shape)
        or checks.offset_defect("row_offsets", rows.row_offsets, rows.shape[0], rows.values.size)
        or _bit_defect(rows)
    )


def _bit_defect(rows: MaskedRows) -> str | None:
    expected = (rows.shape[0], -(-rows.shape[1] // _BYTE))
    if rows.bits.shape != expected:
        return f"bits has shape {rows.bits.shape}, expected {expected}"
    kept = _unpacked(rows)
    if kept[:, rows.shape[1] :].any():
        row = int(np.argmax(kept[:, rows.shape[1] :].any(axis=1)))
        return f"row {row} has a bit behind its last column {rows.shape[1] - 1}"
    counts, lengths = np.count_nonzero(kept, axis=1), np.diff(rows.row_offsets)
    wrong = np.flatnonzero(counts != lengths)
    if wrong.size:
        return f"row {wrong[0]} has {counts[wrong[0]]} bits for {lengths[wrong[0]]} values"
    return None


def _unpacked(rows: MaskedRows) -> npt.NDArray[np.bool_]:
    """Return all bits, those behind the last column too, bool [rows, 8 * bytes]."""
    return np.unpackbits(rows.bits, axis=1, bitorder="little").view(np.bool_)
