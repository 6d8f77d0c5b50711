"""Weights as their nonzeros and one bit an element.

The decoding unpacks the bytes of the mask into bits, counts the ones up to each element, and gathers the value of
that number where the bit is set. What is infinite or NaN stays where it is: elements are selected, not multiplied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from graphprune.layouts import bitmask
from graphprune.packed.weight import Array, PackedWeight, Shape, matrix_shape

LAYOUT = "bitmask"


@dataclass(frozen=True)
class BitmaskWeight(PackedWeight):
    """A weight under a bit mask, one row an output feature; where rows start follows from the bits."""

    name: ClassVar[str] = LAYOUT
    prefix: ClassVar[str] = "PackedMask"
    tensors: ClassVar[tuple[str, ...]] = ("values", "bits")
    numbers: ClassVar[tuple[str, ...]] = ()
    rows: bitmask.MaskedRows
    shape: Shape

    @classmethod
    def pack(cls, weight: Array) -> Self:
        """Pack a dense weight, as its operator sees it."""
        return cls(bitmask.pack(weight.reshape(matrix_shape(weight.shape))), weight.shape)

    @classmethod
    def read(cls, arrays: Sequence[Array], numbers: Sequence[int], shape: Shape) -> Self:  # noqa: ARG003 - it has none
        """Put together what a call holds."""
        values, bits = arrays
        counts = np.bitwise_count(bits).sum(axis=-1) if bits.ndim > 1 and bits.dtype == np.uint8 else np.zeros(1)
        row_offsets = np.cumsum([0, *counts.ravel()]).astype(np.int32)
        return cls(bitmask.MaskedRows(values, bits, row_offsets, matrix_shape(shape)), shape)

    @property
    def layout(self) -> str:
        """`bitmask`."""
        return LAYOUT

    @property
    def arrays(self) -> tuple[Array, ...]:
        """Values and bits."""
        return self.rows.values, self.rows.bits

    def find_defect(self) -> str | None:
        """Return what is wrong with the values and bits, or None."""
        values, ones = self.rows.values.size, int(self.rows.row_offsets[-1])
        miscounted = f"{values} values for {ones} bits" if self.rows.bits.dtype == np.uint8 and values != ones else None
        return miscounted or bitmask.find_defect(self.rows)

    def dense(self) -> Array:
        """Return the weight, of `shape`."""
        return bitmask.unpack(self.rows).reshape(self.shape)

    decode: ClassVar[str] = """
  shape = Constant <value_ints: ints = @weight_shape> ()
  zero = Constant <value_ints = [0]> ()
  one = Constant <value_ints = [1]> ()
  minus_one = Constant <value_ints = [-1]> ()
  line = Constant <value_ints = [1, -1]> ()
  column = Constant <value_ints = [-1, 1]> ()
  bit_values = Constant <value = int32[1,8] {1, 2, 4, 8, 16, 32, 64, 128}> ()
  base = Constant <value = int32[1,1] {2}> ()
  last_axis = Constant <value_int = 1> ()
  unit = Constant <value = int32[1,1] {1}> ()
  size = ReduceProd <keepdims = 1> (shape)
  row_count = Slice (shape, zero, one)
  row_size = Div (size, row_count)
  byte_column = Reshape (bits, column)
  bytes = Cast <to = 6> (byte_column)
  shifted = Div (bytes, bit_values)
  all_bits = Mod (shifted, base)
  rows_shape = Concat <axis = 0> (row_count, minus_one)
  bit_rows = Reshape (all_bits, rows_shape)
  used_bits = Slice (bit_rows, zero, row_size, one)
  bit_line = Reshape (used_bits, line)
  counts = CumSum (bit_line, last_axis)
  spare_shape = Concat <axis = 0> (one, one)
  untyped = ConstantOfShape <value = float[1] {0}> (spare_shape)
  blank = CastLike (untyped, values)
  value_line = Reshape (values, line)
  from_zero = Concat <axis = 1> (blank, value_line)
  chosen = Mul (counts, bit_line)
  elements = Gather <axis = 1> (from_zero, chosen)
  weight = Reshape (elements, shape)
"""
