"""A sparse weight in the order in which kernels read it, in as few bytes as its values and places fit in.

Nonzeros lie by output, in blocks of input channels; neighbouring outputs with common columns may lie together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import tirx
from tvm.tirx.script import builder as T

from graphprune.backends.tvm.kernels.builder import Expr, Flat, Kernel, bind, loop, scratch, store
from graphprune.backends.tvm.kernels.narrow import HALF_OF_FLOAT32, Narrowed, lowest_zeros, narrowed, widened
from graphprune.layouts import csr

HEIGHTS = (1, 2, 4)
"""Neighbouring rows that may be summed together: as many sums as registers hold."""

MOST_LANES = 16
"""Of a vector of float32, of any machine."""

MOST_IN_16_BITS = np.iinfo(np.uint16).max
MOST_IN_32_BITS = np.iinfo(np.uint32).max


@dataclass(frozen=True)
class SparseRows:
    """Nonzeros ordered by (channel block, row), for one kernel; `height` output rows make a row, with common offsets.

    Attributes:
        values: `height` for each offset, as float32 or `narrowed`; or words of float32 that hold their offsets too.
        offsets: From where the input of their block starts, in units of so many elements of the input planes.
        starts: The first offset of each row of each block, and the end: `blocks * rows + 1`.
        step: Elements of the input planes from block to block.
        place_bits: The lowest bits of a word, which hold its offset; 0 where values and offsets are apart.
    """

    values: Narrowed | npt.NDArray[np.uint32]
    offsets: npt.NDArray[np.uint16] | npt.NDArray[np.int32]
    starts: npt.NDArray[np.int32]
    rows: int
    blocks: int
    height: int = 1
    unit: int = 1
    step: int = 0
    place_bits: int = 0

    @property
    def arrays(self) -> list[npt.NDArray[Any]]:
        """The contents of the buffers."""
        return [self.values, *([] if self.place_bits else [self.offsets]), self.starts]

    @property
    def nbytes(self) -> int:
        """Of all buffers."""
        return sum(array.nbytes for array in self.arrays)

    def arguments(self) -> list[Flat]:
        """The buffers of a kernel that reads them."""
        names = ("values", "starts") if self.place_bits else ("values", "offsets", "starts")
        return [Flat(name, len(array), str(array.dtype)) for name, array in zip(names, self.arrays, strict=True)]

    def narrowed(self) -> SparseRows:
        """The same with values of 16 bits, if they fit; where a whole row is widened, it may be read beyond its end."""
        values: npt.NDArray[Any] = narrowed(self.values.view(np.float32))
        beyond = MOST_LANES if self.height > 1 and values.dtype != np.float32 else 0
        return replace(self, values=np.pad(values, (0, beyond)))

    def in_words(self) -> SparseRows:
        """The same, of height 1, with each offset in the bits of its value that are zero in all values, if it fits.

        A kernel makes both of one word for less than what it costs to widen a single value.
        """
        bits = self.values.view(np.uint32)
        free = min(lowest_zeros(bits), HALF_OF_FLOAT32)
        if self.offsets.dtype != np.uint16 or not free:
            return self
        common = int(np.gcd.reduce(self.offsets)) if int(self.offsets.max(initial=0)) >> free else 1
        places = self.offsets // common
        if int(places.max(initial=0)) >> free:
            return self
        words = np.bitwise_or(bits, places, dtype=np.uint32)
        return replace(self, values=words, unit=self.unit * common, place_bits=free)

    def value(self, kernel: Kernel, j: Expr, width: int = 1) -> Expr:
        """`width` values from number `j` on, as float32: a vector, or one."""
        if not self.place_bits:
            return widened(kernel["values"], j, width)
        places = (1 << self.place_bits) - 1
        word = tirx.bitwise_and(kernel["values"][j], tirx.const(MOST_IN_32_BITS - places, "uint32"))
        return tirx.reinterpret("float32", word)

    def row_values(self, kernel: Kernel, first: Expr, count: Expr, width: int) -> Callable[[Expr], Expr]:
        """From a number to a value of the row of `count` offsets from `first` on, as float32.

        Narrowed values of rows of several outputs are widened before, `width` at a time.
        """
        start = first * self.height
        if self.height == 1 or self.values.dtype not in (np.float16, np.uint16):
            return lambda j: self.value(kernel, start + j)
        most = self.height * int(np.diff(self.starts).max(initial=0))
        wide = scratch(-(-most // width) * width)
        with loop((count * self.height + width - 1) // width) as vector:
            at = bind(vector * width)
            store(wide, T.ramp(at, 1, width), self.value(kernel, start + at, width))
        return lambda j: wide[j]

    def offset(self, kernel: Kernel, j: Expr, width: int = 1) -> Expr:
        """`width` offsets from number `j` on, in elements."""
        if self.place_bits:
            place = tirx.bitwise_and(kernel["values"][j], tirx.const((1 << self.place_bits) - 1, "uint32"))
        else:
            place = kernel["offsets"][j if width == 1 else T.ramp(j, 1, width)]
        return place.astype("int32" if width == 1 else f"int32x{width}") * self.unit

    def bounds(self, parts: int) -> list[int]:
        """The first row of each of `parts` parts with about as many nonzeros each, and the end."""
        costs = np.diff(self.starts).reshape(self.blocks, self.rows).sum(axis=0) + 1  # an empty row takes time too
        middles = np.cumsum(costs) - costs / 2
        cuts = np.searchsorted(middles, costs.sum() * np.arange(1, parts) / parts)
        return [0, *(int(cut) for cut in cuts), self.rows]


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
    offsets = (channel % block * channel_distance + tap_offsets[tap])[order]
    ordered = np.ascontiguousarray(tall[order]).reshape(-1)
    narrow, unit = _in_16_bits(offsets)
    step = block * channel_distance
    return SparseRows(ordered, narrow, starts.astype(np.int32), rows, blocks, height, unit, step)


def _in_16_bits(offsets: npt.NDArray[np.signedinteger]) -> tuple[npt.NDArray[np.uint16] | npt.NDArray[np.int32], int]:
    """The offsets in half the bytes, and their unit, where they fit; else as they are.

    Offsets are multiples of whole vectors or rows as a rule: in units of their common divisor most of them fit.
    """
    least, most = int(offsets.min(initial=0)), int(offsets.max(initial=0))
    unit = 1 if most <= MOST_IN_16_BITS else int(np.gcd.reduce(offsets))
    if least < 0 or most > MOST_IN_16_BITS * unit:
        return offsets.astype(np.int32), 1
    return (offsets // unit).astype(np.uint16), unit
