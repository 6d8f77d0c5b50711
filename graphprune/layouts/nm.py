"""N:M groups: the layout of weights that keep at most `keep` of every `of` consecutive input channels.

A weight is seen as a matrix of lines, one for each output feature and kernel position, whose columns are the input
channels. A group is `of` consecutive columns; the last one of a line is shorter where `of` does not divide them. Each
group has `keep` slots, or as many as it has columns if those are fewer: slot `s` of a line belongs to its group
`s // keep`.

A slot holds a value and its place within the group. Where a group has fewer nonzeros than slots, its lowest other
places fill them, with the zeros that stand there. A negative zero without a slot comes back as a positive one;
everything else, NaN, infinities and denormals included, comes back bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from graphprune.errors import InputError
from graphprune.layouts.checks import PACKABLE, is_packable

GROUP_SIZES = (2, 4, 8, 16, 32)
"""What `of` may be: the powers of two whose places take 1 to 5 bits."""

_MATRIX_RANK = 2
_BYTE_BITS = 8
_PIECE_ELEMENTS = 1 << 18  # that are looked at together: a piece stays in the second-level cache


@dataclass(frozen=True)
class NMRows:
    """A matrix in N:M groups.

    Attributes:
        values: The value of each slot, floating, shape [lines, `slot_count(columns, keep, of)`].
        indices: The place of each slot within its group, `index_bits(of)` bits each, least significant first, slots in
            row-major order, packed into uint8 from the lowest bit on; flat; the bits that are left over are zero.
            Places increase strictly within a group.
        keep: How many slots a whole group has.
        of: How many columns a whole group has, one of `GROUP_SIZES`.
        shape: (lines, columns) of the dense matrix.
    """

    values: npt.NDArray[Any]
    indices: npt.NDArray[np.uint8]
    keep: int
    of: int
    shape: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Bytes of the two arrays."""
        return self.values.nbytes + self.indices.nbytes


def index_bits(of: int) -> int:
    """Return how many bits a place in a group of `of` takes."""
    return of.bit_length() - 1


def slot_count(columns: int, keep: int, of: int) -> int:
    """Return how many slots a line of that many columns has."""
    return columns // of * keep + min(keep, columns % of)


def packed_bytes(shape: tuple[int, int], itemsize: int, keep: int, of: int) -> int:
    """Return the bytes of a packed matrix of shape (lines, columns) whose values take `itemsize` bytes each."""
    slots = shape[0] * slot_count(shape[1], keep, of)
    return slots * itemsize + _bytes_of(slots * index_bits(of))


def count_kept(matrix: npt.NDArray[Any], of: int) -> int:
    """Return the largest number of nonzeros of any group of a matrix [lines, columns], of any type."""
    lines, columns = matrix.shape
    most, step = 0, max(1, _PIECE_ELEMENTS // max(1, columns))
    for first in range(0, lines, step):
        most = max(most, _most_of_any_group(matrix[first : first + step] != 0, of))
        if most == min(of, columns):  # as many as there can be, which the first lines of most weights show
            break
    return most


def _most_of_any_group(nonzero: npt.NDArray[np.bool_], of: int) -> int:
    counts = np.zeros((len(nonzero), -(-nonzero.shape[1] // of)), np.uint8)
    for place in range(of):
        places = nonzero[:, place::of]
        counts[:, : places.shape[1]] += places
    return int(counts.max(initial=0))


def smallest(nonzero: npt.NDArray[np.bool_], itemsize: int) -> tuple[int, int] | None:
    """Return the (keep, of) that stores a matrix in the fewest bytes, the smaller groups among equals.

    Args:
        nonzero: Where the matrix [lines, columns] is not zero.
        itemsize: Bytes of one value.

    Returns:
        None if groups of no size have a place to spare.
    """
    lines, columns = nonzero.shape
    forms = [(max(1, count_kept(nonzero, of)), of) for of in GROUP_SIZES]
    fitting = [(keep, of) for keep, of in forms if keep < of]
    return min(fitting, key=lambda form: packed_bytes((lines, columns), itemsize, *form), default=None)


def pack(dense: npt.NDArray[Any], keep: int, of: int) -> NMRows:
    """Pack a dense floating matrix of shape [lines, columns].

    Raises:
        InputError: It is not a floating matrix in native byte order, a group has more than `keep` nonzeros, or there is
            no such form (GP330).
    """
    defect = form_defect(keep, of) or _dense_defect(dense, keep, of)
    if defect is not None:
        raise InputError(f"nm: {defect}", code="GP330")
    lines, columns = dense.shape
    stored = _stored(dense != 0, keep, of)
    values = dense[stored].reshape(lines, slot_count(columns, keep, of))
    places = np.nonzero(stored)[1] % of
    bits = places[:, None] >> np.arange(index_bits(of)) & 1
    return NMRows(values, np.packbits(bits.astype(np.bool_), bitorder="little"), keep, of, (lines, columns))


def unpack(rows: NMRows) -> npt.NDArray[Any]:
    """The dense matrix again, shape [lines, columns], in the dtype of the values.

    Raises:
        InputError: The rows are damaged; see `find_defect` (GP331).
    """
    defect = find_defect(rows)
    if defect is not None:
        raise InputError(f"nm: {defect}", code="GP331")
    dense = np.zeros(rows.shape, rows.values.dtype)
    groups = np.arange(rows.values.shape[1]) // rows.keep
    np.put_along_axis(dense, groups * rows.of + places(rows), rows.values, axis=1)
    return dense


def places(rows: NMRows) -> npt.NDArray[np.uint8]:
    """The place of each slot within its group, shape [lines, slots], of rows whose arrays have the right sizes."""
    width = index_bits(rows.of)
    bits = np.unpackbits(rows.indices, count=rows.values.size * width, bitorder="little").reshape(-1, width)
    weighted: npt.NDArray[np.uint8] = bits @ (1 << np.arange(width, dtype=np.uint8))
    return weighted.reshape(rows.values.shape)


def is_valid(rows: NMRows) -> bool:
    """Whether every index may be followed without leaving its group."""
    return find_defect(rows) is None


def find_defect(rows: NMRows) -> str | None:
    """What is wrong with the rows, in one line, or None: what a kernel relies on is checked here and nowhere else."""
    return (
        form_defect(rows.keep, rows.of)
        or _values_defect(rows.values, (rows.shape[0], slot_count(rows.shape[1], rows.keep, rows.of)))
        or _indices_defect(rows.indices, rows.values.size * index_bits(rows.of))
        or _places_defect(rows)
    )


def form_defect(keep: int, of: int) -> str | None:
    """Why nothing can be stored with `keep` of every `of`, or None."""
    if of not in GROUP_SIZES:
        return f"groups have {of} places, expected {', '.join(map(str, GROUP_SIZES[:-1]))} or {GROUP_SIZES[-1]}"
    return None if 0 < keep < of else f"groups keep {keep} of {of}, expected at least 1 and not all"


def _grouped(nonzero: npt.NDArray[np.bool_], of: int) -> npt.NDArray[np.bool_]:
    """[lines, groups, of]; places that the last group lacks are False."""
    lines, columns = nonzero.shape
    return np.pad(nonzero, ((0, 0), (0, -columns % of))).reshape(lines, -(-columns // of), of)


def _stored(nonzero: npt.NDArray[np.bool_], keep: int, of: int) -> npt.NDArray[np.bool_]:
    """Which elements have a slot: all nonzeros, then the lowest zeros that there is room for."""
    groups = _grouped(nonzero, of)
    room = keep - np.count_nonzero(groups, axis=-1, keepdims=True)
    zeros_so_far = np.cumsum(~groups, axis=-1, dtype=np.uint8)
    stored: npt.NDArray[np.bool_] = groups | (zeros_so_far <= room)
    return stored.reshape(nonzero.shape[0], -1 if nonzero.size else 0)[:, : nonzero.shape[1]]


def _bytes_of(bits: int) -> int:
    return -(-bits // _BYTE_BITS)


def _dense_defect(dense: npt.NDArray[Any], keep: int, of: int) -> str | None:
    if dense.ndim != _MATRIX_RANK or not is_packable(dense.dtype):
        return f"cannot pack a {dense.ndim}-d {dense.dtype} array, expected a 2-d {PACKABLE}"
    most = count_kept(dense, of)
    return None if most <= keep else f"a group of {of} has {most} nonzeros, expected at most {keep}"


def _values_defect(values: npt.NDArray[Any], shape: tuple[int, int]) -> str | None:
    if not is_packable(values.dtype):
        return f"values have dtype {values.dtype}, expected a {PACKABLE}"
    return None if values.shape == shape else f"values have shape {list(values.shape)}, expected {list(shape)}"


def _indices_defect(indices: npt.NDArray[Any], bits: int) -> str | None:
    if indices.dtype != np.uint8:
        return f"indices have dtype {indices.dtype}, expected uint8"
    size = _bytes_of(bits)
    if indices.shape != (size,):
        return f"indices have shape {list(indices.shape)}, expected {[size]}"
    if bits % _BYTE_BITS and indices[-1] >> bits % _BYTE_BITS:
        return f"indices end in {indices[-1]:#010b}, expected zeros above bit {bits % _BYTE_BITS}"
    return None


def _places_defect(rows: NMRows) -> str | None:
    found = places(rows)
    whole, rest = divmod(rows.shape[1], rows.of)
    outside = np.argwhere(found[:, whole * rows.keep :] >= rest)
    if outside.size:
        line, slot = int(outside[0, 0]), whole * rows.keep + int(outside[0, 1])
        return f"place {found[line, slot]} at line {line}, slot {slot} is outside [0, {rest})"
    follows = np.arange(1, found.shape[1]) % rows.keep != 0  # the slot before is of the same group
    stuck = np.argwhere((found[:, 1:] <= found[:, :-1]) & follows)
    if stuck.size:
        line, slot = int(stuck[0, 0]), int(stuck[0, 1]) + 1
        return f"places do not increase at line {line}, slot {slot}: {found[line, slot - 1]} then {found[line, slot]}"
    return None
