"""NVIDIA's semi-structured layout: the operand of sparse tensor cores, at most 2 nonzeros of every 4 in a row.

A row keeps 2 values of every 4, in order, and 2 bits of metadata a value: its place among the 4. So 4 bits describe a
quadruple, the first place in the lower two, and a word of 16 bits four of them, the first one lowest. Values of 8 bits
have words of 32 bits. A float32 (TF32) is two places wide: of every 2 values 1 is kept. Where fewer are nonzero, what
is kept is filled up with place 2, then 3.

Words are stored in the order in which the tensor cores load them: rows are interleaved within groups of 32 (16 where a
word has 32 bits), 2x2 blocks are swapped across, and pairs of columns follow each other. This is `reorder_meta` of
CUTLASS (tools/util/include/cutlass/util/host_reorder.h) and its layout `ColumnMajorInterleaved<2>`;
`torch.sparse.to_sparse_semi_structured` stores the same where it uses CUTLASS.

Values that are kept come back bit for bit. A zero that is not kept comes back as a positive one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import ml_dtypes
import numpy as np
import numpy.typing as npt

from graphprune.errors import InputError
from graphprune.layouts import checks

_WORDS: Final[dict[np.dtype[Any], np.dtype[Any]]] = {
    np.dtype(np.float16): np.dtype(np.int16),
    np.dtype(ml_dtypes.bfloat16): np.dtype(np.int16),
    np.dtype(np.float32): np.dtype(np.int16),
    np.dtype(np.int8): np.dtype(np.int32),
}
"""The words that describe values of each dtype."""

_MATRIX_RANK = 2
_KEPT, _PLACES, _CODE_BITS = 2, 4, 4
_LANES = 8  # of a group of interleaved rows, every 8th comes next


def _code(mask: int) -> int:
    """Return the two places that are kept where the bits of `mask` say which of the four are nonzero."""
    nonzero = [place for place in range(_PLACES) if mask >> place & 1]
    first, second = sorted([*nonzero, *(place for place in (2, 3) if place not in nonzero)][:_KEPT])
    return first | second << 2


_CODES = np.array([_code(mask) for mask in range(1 << _PLACES)], np.uint8)


@dataclass(frozen=True)
class SemiStructured:
    """A matrix of which half the columns are kept.

    Attributes:
        values: What is kept, float16, bfloat16, float32 or int8, shape [rows, columns / 2].
        metadata: Where it was, in the order of tensor cores: int16, shape [rows, columns / 16], of float32
            [rows, columns / 8]; of int8 it is int32, shape [rows, columns / 32].
    """

    values: npt.NDArray[Any]
    metadata: npt.NDArray[Any]

    @property
    def nbytes(self) -> int:
        """Bytes of the two arrays."""
        return self.values.nbytes + self.metadata.nbytes


def pack(dense: npt.NDArray[Any]) -> SemiStructured:
    """Pack a dense matrix of shape [rows, columns] that has the pattern already.

    Rows and columns are multiples of 32; columns of float32 of 16; rows of int8 of 16, and its columns of 64.

    Raises:
        InputError: Its dtype or shape has no such form, or too much of it is not zero (GP330).
    """
    defect = _dtype_defect("the matrix", dense) or _shape_defect(dense.shape, dense.dtype)
    if defect is not None:
        raise InputError(f"semi-structured: {defect}", code="GP330")
    nonzero = np.repeat(dense != 0, _width(dense.dtype), axis=1).reshape(dense.shape[0], -1, _PLACES)
    _check_pattern(nonzero)
    codes = _CODES[np.packbits(nonzero, axis=2, bitorder="little")[..., 0]]
    units = _units(dense).reshape(nonzero.shape)
    values = np.take_along_axis(units, _places(codes), axis=2).reshape(dense.shape[0], -1)
    return SemiStructured(values.view(dense.dtype), _stored(codes, _WORDS[dense.dtype]))


def unpack(matrix: SemiStructured) -> npt.NDArray[Any]:
    """The dense matrix again, shape [rows, columns], in the dtype of the values.

    Raises:
        InputError: The matrix is damaged (GP331); see `find_defect`.
    """
    defect = find_defect(matrix)
    if defect is not None:
        raise InputError(f"semi-structured: {defect}", code="GP331")
    codes, kept = _loaded(matrix.metadata), _units(matrix.values)
    units = np.zeros((*codes.shape, _PLACES), kept.dtype)
    np.put_along_axis(units, _places(codes), kept.reshape(*codes.shape, _KEPT), axis=2)
    return units.reshape(len(codes), -1).view(matrix.values.dtype)


def is_valid(matrix: SemiStructured) -> bool:
    """Whether the metadata fits the values, and names two different places in order everywhere."""
    return find_defect(matrix) is None


def find_defect(matrix: SemiStructured) -> str | None:
    """What is wrong with the matrix, in one line, or None: what a kernel relies on is checked here and nowhere else."""
    values, metadata = matrix.values, matrix.metadata
    if (defect := _dtype_defect("values", values)) is not None:
        return defect
    if (defect := checks.array_defect("metadata", metadata, _MATRIX_RANK, _WORDS[values.dtype])) is not None:
        return defect
    rows, columns = values.shape[0], 2 * values.shape[1]
    if (defect := _shape_defect((rows, columns), values.dtype)) is not None:
        return defect
    expected = (rows, columns // _columns_of_word(values.dtype))
    if metadata.shape != expected:
        return f"metadata has shape {metadata.shape}, expected {expected}"
    return _code_defect(_loaded(metadata), np.unique(_CODES[[0b0011, 0b1100]] if _width(values.dtype) > 1 else _CODES))


def _code_defect(codes: npt.NDArray[np.uint8], legal: npt.NDArray[np.uint8]) -> str | None:
    wrong = np.argwhere(~np.isin(codes, legal))
    if not wrong.size:
        return None
    row, quadruple = wrong[0].tolist()
    code = int(codes[row, quadruple])
    return f"row {row} keeps places {code & 3} and {code >> 2} of quadruple {quadruple}"


def _dtype_defect(name: str, array: npt.NDArray[Any]) -> str | None:
    if array.ndim != _MATRIX_RANK:
        return f"{name} has {array.ndim} dimensions, expected 2"
    if array.dtype not in _WORDS:
        return f"{name} has dtype {array.dtype}, expected one of {', '.join(map(str, _WORDS))}"
    return None


def _shape_defect(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str | None:
    """Columns of words come in pairs."""
    rows, columns = _interleaved_rows(_WORDS[dtype]), 2 * _columns_of_word(dtype)
    if shape[0] % rows or shape[1] % columns:
        return f"{shape[0]} rows by {shape[1]} columns of {dtype}, no multiple of {rows} by {columns}"
    return None


def _check_pattern(nonzero: npt.NDArray[np.bool_]) -> None:
    counts = np.count_nonzero(nonzero, axis=2)
    full = np.argwhere(counts > _KEPT)
    if full.size:
        row, quadruple = full[0].tolist()
        text = f"row {row} fills {counts[row, quadruple]} of the 4 places of quadruple {quadruple}, expected at most 2"
        raise InputError(f"semi-structured: {text}", code="GP330")


def _width(dtype: np.dtype[Any]) -> int:
    """The number of places that a value takes."""
    return 2 if dtype == np.float32 else 1


def _columns_of_word(dtype: np.dtype[Any]) -> int:
    """The columns of the dense matrix that one word describes."""
    return _codes_of_word(_WORDS[dtype]) * _PLACES // _width(dtype)


def _codes_of_word(word: np.dtype[Any]) -> int:
    return word.itemsize * 8 // _CODE_BITS


def _interleaved_rows(word: np.dtype[Any]) -> int:
    return 64 // word.itemsize


def _units(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return values as the integers that fill one place each."""
    unit = np.uint8 if array.dtype.itemsize == 1 else np.uint16
    return np.ascontiguousarray(array).view(unit)


def _places(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return the places that are kept, int64 [rows, quadruples, 2]."""
    return np.stack([codes & 3, codes >> 2], axis=2).astype(np.int64)


def _stored(codes: npt.NDArray[np.uint8], word: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return codes [rows, quadruples] as words in the order of tensor cores."""
    unsigned = codes.reshape(len(codes), -1, _codes_of_word(word)).astype(f"u{word.itemsize}")
    shifts = np.arange(unsigned.shape[2], dtype=unsigned.dtype) * _CODE_BITS
    words = np.bitwise_or.reduce(unsigned << shifts, axis=2)
    stored = np.empty(words.size, words.dtype)
    stored[_positions(words.shape, word)] = words
    return stored.reshape(words.shape).view(word)


def _loaded(metadata: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return the codes [rows, quadruples] of stored words."""
    unsigned = metadata.astype(f"u{metadata.dtype.itemsize}").reshape(-1)
    words = unsigned[_positions(metadata.shape, metadata.dtype)]
    shifts = np.arange(_codes_of_word(metadata.dtype), dtype=words.dtype) * _CODE_BITS
    codes: npt.NDArray[np.uint8] = (words[..., None] >> shifts & 15).astype(np.uint8)
    return codes.reshape(len(metadata), -1)


def _positions(shape: tuple[int, ...], word: np.dtype[Any]) -> npt.NDArray[np.int64]:
    """Return where each word is stored, int64 [rows, words of a row]: `reorder_meta`, then the interleaved layout."""
    row, column = np.indices(shape)
    group = _interleaved_rows(word)
    row = row // group * group + row % _LANES * (group // _LANES) + row % group // _LANES
    swap = column % 2 - row % 2  # upper right and lower left of a 2x2 block change places
    row, column = row + swap, column - swap
    positions: npt.NDArray[np.int64] = column // 2 * (2 * shape[0]) + 2 * row + column % 2
    return positions
