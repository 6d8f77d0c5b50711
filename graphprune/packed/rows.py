"""Weights in compressed sparse rows, one row an output feature.

The decoding costs one pass over the nonzeros and one over the dense weight. The row of each nonzero is the number of
rows, not counting the first, that start at or before it: a one is added where each starts, then summed along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from graphprune.layouts import csr
from graphprune.packed.weight import Array, PackedWeight, Shape, matrix_shape

LAYOUT = "rows"

ROW_IDS = """  offset_line = Reshape (row_offsets, line)
  wide_offsets = Cast <to = 7> (offset_line)
  starts = Slice (wide_offsets, one, minus_one, one)
  start_shape = Shape (starts)
  ones = ConstantOfShape <value = int64[1] {1}> (start_shape)
  slot_count = Add (stored, one)
  slot_shape = Concat <axis = 0> (one, slot_count)
  slots = ConstantOfShape <value = int64[1] {0}> (slot_shape)
  steps = ScatterElements <axis = 1, reduction = "add"> (slots, starts, ones)
  axis = Constant <value_int = 1> ()
  row_ids = CumSum (steps, axis)
  stored_rows = Slice (row_ids, zero, stored, one)
"""
"""ONNX text that makes `stored_rows`, [1, stored], of `row_offsets` and how many elements are `stored`."""


@dataclass(frozen=True)
class RowsWeight(PackedWeight):
    """A weight in rows; a column of a convolution is the flattened (channel, kernel position)."""

    name: ClassVar[str] = LAYOUT
    prefix: ClassVar[str] = "Packed"
    tensors: ClassVar[tuple[str, ...]] = ("values", "columns", "row_offsets")
    numbers: ClassVar[tuple[str, ...]] = ()
    rows: csr.Rows
    shape: Shape

    @classmethod
    def pack(cls, weight: Array) -> Self:
        """Pack a dense weight, as its operator sees it."""
        return cls(csr.pack(weight.reshape(matrix_shape(weight.shape))), weight.shape)

    @classmethod
    def read(cls, arrays: Sequence[Array], numbers: Sequence[int], shape: Shape) -> Self:  # noqa: ARG003 - it has none
        """Put together what a call holds."""
        values, columns, row_offsets = arrays
        return cls(csr.Rows(values, columns, row_offsets, matrix_shape(shape)), shape)

    @property
    def layout(self) -> str:
        """`rows`."""
        return LAYOUT

    @property
    def arrays(self) -> tuple[Array, ...]:
        """Values, columns and row offsets."""
        return self.rows.values, self.rows.columns, self.rows.row_offsets

    def find_defect(self) -> str | None:
        """Return what is wrong with the rows, or None."""
        return csr.find_defect(self.rows)

    def dense(self) -> Array:
        """Return the weight, of `shape`."""
        return csr.unpack(self.rows).reshape(self.shape)

    decode: ClassVar[str] = f"""
  shape = Constant <value_ints: ints = @weight_shape> ()
  zero = Constant <value_ints = [0]> ()
  one = Constant <value_ints = [1]> ()
  minus_one = Constant <value_ints = [-1]> ()
  line = Constant <value_ints = [1, -1]> ()
  size = ReduceProd <keepdims = 1> (shape)
  row_count = Slice (shape, zero, one)
  row_size = Div (size, row_count)
  value_line = Reshape (values, line)
  column_line = Reshape (columns, line)
  wide_columns = Cast <to = 7> (column_line)
  stored = Shape (values)
{ROW_IDS}  row_bases = Mul (stored_rows, row_size)
  places = Add (row_bases, wide_columns)
  flat_shape = Concat <axis = 0> (one, size)
  untyped = ConstantOfShape <value = float[1] {{0}}> (flat_shape)
  blank = CastLike (untyped, values)
  flat = ScatterElements <axis = 1> (blank, places, value_line)
  weight = Reshape (flat, shape)
"""
