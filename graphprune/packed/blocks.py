"""Weights in blocks of outputs by input channels at one kernel position.

The decoding scatters the blocks into a grid of zeros; a block's row in it is found as that of a nonzero in rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from graphprune.layouts import blocks
from graphprune.masks.axes import WeightAxes
from graphprune.packed.rows import ROW_IDS
from graphprune.packed.weight import Array, PackedWeight, Shape

SIZES = ((1, 4), (1, 8), (1, 16), (4, 1), (8, 1), (16, 1), (4, 4), (8, 8), (16, 16), (32, 32))
"""Outputs by input channels of the blocks that are looked for where no size is asked for."""

FULL = 0.95
"""The share of nonzeros in blocks from which on a weight counts as made of them."""

_AXES = WeightAxes()


@dataclass(frozen=True)
class BlockWeight(PackedWeight):
    """A weight in blocks; a row of its matrix is an output feature, a column a (kernel position, input channel)."""

    name: ClassVar[str] = "block"
    prefix: ClassVar[str] = "PackedBlock"
    tensors: ClassVar[tuple[str, ...]] = ("values", "columns", "row_offsets")
    numbers: ClassVar[tuple[str, ...]] = ()
    rows: blocks.BlockRows
    shape: Shape

    @classmethod
    def pack(cls, weight: Array, size: tuple[int, int]) -> Self:
        """Pack a dense weight, as its operator sees it, whose outputs and input channels the block divides."""
        return cls(blocks.pack(matrix_of(weight), size), weight.shape)

    @classmethod
    def read(cls, arrays: Sequence[Array], numbers: Sequence[int], shape: Shape) -> Self:  # noqa: ARG003 - it has none
        """Put together what a call holds."""
        values, columns, row_offsets = arrays
        outputs, positions, inputs = _AXES.rows_shape(shape)
        return cls(blocks.BlockRows(values, columns, row_offsets, (outputs, positions * inputs)), shape)

    @property
    def layout(self) -> str:
        """For example `block 4x1`."""
        return f"block {self.rows.values.shape[1]}x{self.rows.values.shape[2]}"

    @property
    def arrays(self) -> tuple[Array, ...]:
        """Blocks, block columns and offsets of block rows."""
        return self.rows.values, self.rows.columns, self.rows.row_offsets

    def find_defect(self) -> str | None:
        """Return what is wrong with the blocks, or None."""
        return blocks.find_defect(self.rows)

    def dense(self) -> Array:
        """Return the weight, of `shape`."""
        rows = blocks.unpack(self.rows).reshape(_AXES.rows_shape(self.shape))
        return np.ascontiguousarray(_AXES.restore(rows, self.shape))

    decode: ClassVar[str] = f"""
  shape = Constant <value_ints: ints = @weight_shape> ()
  zero = Constant <value_ints = [0]> ()
  one = Constant <value_ints = [1]> ()
  two = Constant <value_ints = [2]> ()
  three = Constant <value_ints = [3]> ()
  minus_one = Constant <value_ints = [-1]> ()
  line = Constant <value_ints = [1, -1]> ()
  column = Constant <value_ints = [-1, 1]> ()
  size = ReduceProd <keepdims = 1> (shape)
  outputs = Slice (shape, zero, one)
  inputs = Slice (shape, one, two)
  values_shape = Shape (values)
  stored = Slice (values_shape, zero, one)
  height = Slice (values_shape, one, two)
  width = Slice (values_shape, two, three)
  block_rows = Div (outputs, height)
  row_size = Div (size, outputs)
  block_columns = Div (row_size, width)
{ROW_IDS}  row_column = Reshape (stored_rows, column)
  narrow_columns = Reshape (columns, column)
  wide_columns = Cast <to = 7> (narrow_columns)
  places = Concat <axis = 1> (row_column, wide_columns)
  grid_shape = Concat <axis = 0> (block_rows, block_columns, height, width)
  untyped = ConstantOfShape <value = float[1] {{0}}> (grid_shape)
  blank = CastLike (untyped, values)
  grid = ScatterND (blank, places, values)
  by_output = Transpose <perm = [0, 2, 1, 3]> (grid)
  planes_shape = Concat <axis = 0> (outputs, minus_one, inputs)
  planes = Reshape (by_output, planes_shape)
  channels_first = Transpose <perm = [0, 2, 1]> (planes)
  weight = Reshape (channels_first, shape)
"""


def matrix_of(weight: Array) -> Array:
    """Return a weight, as its operator sees it, as the matrix [outputs, positions x inputs] that is packed."""
    rows = _AXES.rows(weight)
    return rows.reshape(rows.shape[0], -1)


def fits(shape: Shape, size: tuple[int, int]) -> bool:
    """Return whether blocks of that size divide the outputs and the input channels of a weight of that shape."""
    return shape[_AXES.output] % size[0] == 0 and shape[_AXES.input] % size[1] == 0


def smallest_size(nonzero: Array, itemsize: int) -> tuple[int, int] | None:
    """Return the size of `SIZES` that stores a weight in the fewest bytes, fewer than densely; None if none does.

    Args:
        nonzero: Where the weight, as its operator sees it, is not zero.
        itemsize: Bytes of one value.
    """
    costs = {size: stored_bytes(nonzero, itemsize, size) for size in SIZES if fits(nonzero.shape, size)}
    best = min(costs, key=lambda size: costs[size], default=None)
    return best if best is not None and costs[best] < nonzero.size * itemsize else None


def pattern_size(nonzero: Array) -> tuple[int, int] | None:
    """Return the largest of `SIZES` whose blocks are zero or nearly full, some of them zero; None if there is none."""
    elements = np.count_nonzero(nonzero)
    for size in sorted((size for size in SIZES if fits(nonzero.shape, size)), key=lambda size: -size[0] * size[1]):
        covered = _kept(nonzero, size) * size[0] * size[1]
        if elements >= FULL * covered and covered < nonzero.size:
            return size
    return None


def stored_bytes(nonzero: Array, itemsize: int, size: tuple[int, int]) -> int:
    """Return the bytes of a weight in blocks of that size."""
    index = np.dtype(np.int32).itemsize
    rows = nonzero.shape[_AXES.output] // size[0] + 1
    return int(_kept(nonzero, size) * (size[0] * size[1] * itemsize + index) + rows * index)


def _kept(nonzero: Array, size: tuple[int, int]) -> int:
    """Return how many blocks have a nonzero."""
    matrix, (rows, columns) = matrix_of(nonzero), size
    grid = matrix.reshape(matrix.shape[0] // rows, rows, matrix.shape[1] // columns, columns)
    return int(np.count_nonzero(np.logical_or.reduce(grid, axis=(1, 3))))
