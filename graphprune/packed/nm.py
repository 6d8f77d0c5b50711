"""Weights in N:M groups of input channels, one line for each output feature and kernel position.

The decoding unpacks the bytes of the indices into bits, adds those of each slot up to its place, and scatters the
values line by line. A place has as many bits as there are powers of two below the size of a group. Constant folding of
runtimes computes all of it once: no operator is used that ONNX Runtime does not fold, as `Compress`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from graphprune.layouts import nm
from graphprune.masks.axes import WeightAxes
from graphprune.packed.weight import Array, PackedWeight, Shape

_AXES = WeightAxes()


@dataclass(frozen=True)
class NMWeight(PackedWeight):
    """A weight in N:M groups."""

    name: ClassVar[str] = "nm"
    prefix: ClassVar[str] = "PackedNm"
    tensors: ClassVar[tuple[str, ...]] = ("values", "indices")
    numbers: ClassVar[tuple[str, ...]] = ("keep", "of")
    rows: nm.NMRows
    shape: Shape

    @classmethod
    def pack(cls, weight: Array, keep: int, of: int) -> Self:
        """Pack a dense weight, as its operator sees it, that has at most `keep` nonzeros of every `of`."""
        return cls(nm.pack(lines_of(weight), keep, of), weight.shape)

    @classmethod
    def read(cls, arrays: Sequence[Array], numbers: Sequence[int], shape: Shape) -> Self:
        """Put together what a call holds."""
        (values, indices), (keep, of) = arrays, numbers
        outputs, positions, inputs = _AXES.rows_shape(shape)
        return cls(nm.NMRows(values, indices, keep, of, (outputs * positions, inputs)), shape)

    @property
    def layout(self) -> str:
        """For example `2:4`."""
        return f"{self.rows.keep}:{self.rows.of}"

    @property
    def arrays(self) -> tuple[Array, ...]:
        """Values and indices."""
        return self.rows.values, self.rows.indices

    @property
    def attributes(self) -> dict[str, int]:
        """How many slots a group has, and how many columns."""
        return {"keep": self.rows.keep, "of": self.rows.of}

    def find_defect(self) -> str | None:
        """Return what is wrong with the rows, or None."""
        return nm.find_defect(self.rows)

    def dense(self) -> Array:
        """Return the weight, of `shape`."""
        lines = nm.unpack(self.rows).reshape(_AXES.rows_shape(self.shape))
        return np.ascontiguousarray(_AXES.restore(lines, self.shape))

    decode: ClassVar[str] = """
  shape = Constant <value_ints: ints = @weight_shape> ()
  keep = Constant <value_int: int = @keep> ()
  of = Constant <value_int: int = @of> ()
  zero = Constant <value_ints = [0]> ()
  one = Constant <value_ints = [1]> ()
  two = Constant <value_ints = [2]> ()
  minus_one = Constant <value_ints = [-1]> ()
  line = Constant <value_ints = [1, -1]> ()
  column = Constant <value_ints = [-1, 1]> ()
  first = Constant <value_int = 0> ()
  next = Constant <value_int = 1> ()
  all_powers = Constant <value = int32[5] {1, 2, 4, 8, 16}> ()
  bit_values = Constant <value = int32[1,8] {1, 2, 4, 8, 16, 32, 64, 128}> ()
  base = Constant <value = int32[1,1] {2}> ()
  narrow_of = Cast <to = 6> (of)
  is_below = Less (all_powers, narrow_of)
  counted = Cast <to = 7> (is_below)
  width = ReduceSum <keepdims = 1> (counted)
  powers = Slice (all_powers, zero, width)
  byte_column = Reshape (indices, column)
  bytes = Cast <to = 6> (byte_column)
  shifted = Div (bytes, bit_values)
  all_bits = Mod (shifted, base)
  bit_line = Reshape (all_bits, line)
  slot_shape = Shape (values)
  slot_count = ReduceProd <keepdims = 1> (slot_shape)
  bit_count = Mul (slot_count, width)
  used_bits = Slice (bit_line, zero, bit_count, one)
  bits_shape = Concat <axis = 0> (minus_one, width)
  bits = Reshape (used_bits, bits_shape)
  weighted_bits = Mul (bits, powers)
  place_column = ReduceSum <keepdims = 1> (weighted_bits, one)
  narrow_places = Reshape (place_column, slot_shape)
  places = Cast <to = 7> (narrow_places)
  line_slots = Slice (slot_shape, one, two)
  slots_end = Squeeze (line_slots)
  slots = Range (first, slots_end, next)
  groups = Div (slots, keep)
  bases = Mul (groups, of)
  columns = Add (places, bases)
  lines = Slice (slot_shape, zero, one)
  outputs = Slice (shape, zero, one)
  inputs = Slice (shape, one, two)
  matrix_shape = Concat <axis = 0> (lines, inputs)
  untyped = ConstantOfShape <value = float[1] {0}> (matrix_shape)
  blank = CastLike (untyped, values)
  matrix = ScatterElements <axis = 1> (blank, columns, values)
  planes_shape = Concat <axis = 0> (outputs, minus_one, inputs)
  planes = Reshape (matrix, planes_shape)
  channels_first = Transpose <perm = [0, 2, 1]> (planes)
  weight = Reshape (channels_first, shape)
"""


def lines_of(weight: Array) -> Array:
    """Return a weight, as its operator sees it, as the matrix [outputs x positions, inputs] that is packed."""
    return _AXES.rows(weight).reshape(-1, weight.shape[_AXES.input])
