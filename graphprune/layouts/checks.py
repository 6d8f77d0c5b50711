"""Checks that layouts share: dtypes and ranks, row offsets, and columns that increase within a row."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from graphprune.errors import InputError

INDEX_LIMIT = int(np.iinfo(np.int32).max)

_MATRIX_RANK = 2
_FLOATING_KINDS = "fV"  # V: ml_dtypes' bfloat16 and float8 are extension types
_QUANTIZED = (np.int8, np.uint8)
PACKABLE = "floating one in native byte order, or one of 8-bit integers"
"""What `is_packable` says yes to, for messages."""


def check_matrix(layout: str, dense: npt.NDArray[Any]) -> None:
    """Check that `dense` is a matrix of floating numbers, or of integers of 8 bits.

    Raises:
        InputError: It is not (GP330); the message names the layout.
    """
    if dense.ndim != _MATRIX_RANK or not is_packable(dense.dtype):
        found = f"a {dense.ndim}-d {dense.dtype} array"
        raise InputError(f"{layout}: cannot pack {found}, expected a 2-d {PACKABLE}", code="GP330")


def offsets_of(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return where each row starts, and the end, int64 [rows + 1], from the number of entries of each row."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def values_defect(name: str, array: npt.NDArray[Any], rank: int) -> str | None:
    """What is wrong with an array of that rank that should hold floating numbers or integers of 8 bits, or None."""
    if array.ndim != rank:
        return f"{name} has {array.ndim} dimensions, expected {rank}"
    if not is_packable(array.dtype):
        return f"{name} has dtype {array.dtype}, expected a {PACKABLE}"
    return None


def array_defect(name: str, array: npt.NDArray[Any], rank: int, dtype: npt.DTypeLike) -> str | None:
    """What is wrong with an array that should have that rank and dtype, byte order included, or None."""
    if array.ndim != rank:
        return f"{name} has {array.ndim} dimensions, expected {rank}"
    if array.dtype != np.dtype(dtype):
        return f"{name} has dtype {array.dtype}, expected {np.dtype(dtype)}"
    return None


def shape_defect(shape: tuple[int, int]) -> str | None:
    """What is wrong with the shape of a dense matrix, or None."""
    return f"shape is {shape}, expected no negative extent" if min(shape) < 0 else None


def size_defect(name: str, array: npt.NDArray[Any], size: int) -> str | None:
    """What is wrong with an array that should have `size` entries, or None."""
    return f"{name} has {array.size} entries, expected {size}" if array.size != size else None


def offset_defect(name: str, offsets: npt.NDArray[np.int32], rows: int, count: int) -> str | None:
    """What is wrong with offsets that should cut `count` entries into `rows` rows, or None."""
    if offsets.size != rows + 1:
        return size_defect(name, offsets, rows + 1)
    if offsets[0] != 0 or offsets[-1] != count:
        return f"{name} run from {offsets[0]} to {offsets[-1]}, expected 0 to {count}"
    falls = np.flatnonzero(offsets[1:] < offsets[:-1])
    if falls.size:
        row = int(falls[0])
        return f"{name} fall from {offsets[row]} to {offsets[row + 1]} at row {row}"
    return None


def column_defect(columns: npt.NDArray[np.int32], offsets: npt.NDArray[np.int32], limit: int) -> str | None:
    """What is wrong with columns that should lie in [0, limit) and increase within each row, or None.

    Args:
        columns: int32 [entries].
        offsets: Without a defect, int32 [rows + 1].
        limit: The number of columns.
    """
    outside = np.flatnonzero((columns < 0) | (columns >= limit))
    if outside.size:
        return f"column {columns[outside[0]]} at position {outside[0]} is outside [0, {limit})"
    rises = np.ones(columns.size, np.bool_)
    rises[1:] = columns[1:] > columns[:-1]
    starts = offsets[:-1]
    rises[starts[starts < columns.size]] = True
    if not rises.all():
        position = int(np.argmin(rises))
        return f"columns do not increase at position {position}: {columns[position - 1]} then {columns[position]}"
    return None


def is_packable(dtype: np.dtype[Any]) -> bool:
    """Return whether arrays of that dtype are packed."""
    is_floating = dtype.kind in _FLOATING_KINDS and dtype.type is not np.void and dtype.isnative
    return is_floating or dtype in _QUANTIZED
