"""Register tiles of products of two activations: copying the operands into the order of reading, and summing a tile.

Rows of one operand are broadcast, in blocks; vectors run over the columns of the other, in panels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tvm import tirx

from graphprune.backends.tvm.kernels.builder import Expr, Kernel, bind, lanes, loop, registers, store, unrolled_lanes
from graphprune.backends.tvm.kernels.dense import clear, multiply_add
from graphprune.backends.tvm.kernels.tiling import chunks


@dataclass(frozen=True)
class Operand:
    """One operand as the loops see it: its buffer's name, offset, and strides by batch axis, outer axis and depth."""

    name: str
    offset: int
    batch_strides: tuple[int, ...]
    outer: int
    depth: int

    def matrix(self, shape: Sequence[int], batch: Expr) -> Expr:
        """Offset of one matrix of a batch of this shape in the buffer."""
        offset: Expr = self.offset
        for extent, stride in zip(reversed(shape), reversed(self.batch_strides), strict=True):
            if stride:
                offset = offset + batch % extent * stride
            batch = batch // extent
        return offset


@dataclass(frozen=True)
class RowBlocks:
    """`rows` rows of `depth` elements in blocks of `block`; the last block is moved back to end with the rows."""

    operand: Operand
    rows: int
    depth: int
    block: int
    lanes: int

    @property
    def count(self) -> int:
        """Blocks of one matrix."""
        return -(-self.rows // self.block)

    @property
    def size(self) -> int:
        """Elements of a copied block."""
        return max(self.block * self.depth, 1)

    @property
    def strides(self) -> tuple[int, int]:
        """Strides of a copied block by row and by depth: in the order in which the operand lies."""
        rows_adjacent = self.operand.outer == 1 and self.operand.depth != 1
        return (1, self.block) if rows_adjacent else (self.depth, 1)

    def first(self, number: Expr) -> Expr:
        """First row of a block."""
        return bind(tirx.min(number * self.block, self.rows - self.block))

    def copy(self, kernel: Kernel, matrix: Expr, number: Expr, target: Expr, to: Expr) -> None:
        """Copy a block of the matrix that starts at `matrix` to `target[to]`."""
        x, operand = kernel[self.operand.name], self.operand
        source = bind(matrix + self.first(number) * operand.outer)
        inner, outer = (self.block, self.depth) if self.strides[0] == 1 else (self.depth, self.block)
        near, far = (operand.outer, operand.depth) if self.strides[0] == 1 else (operand.depth, operand.outer)
        with loop(outer) as line:
            start, at = bind(to + line * inner), bind(source + line * far)
            lanes(inner, self.lanes, lambda i: store(target, start + i, x[at + i * near]))


@dataclass(frozen=True)
class Panels:
    """`count` panels of `width` columns, `vectors` vectors each; the first starts with vector `first` of the row.

    The last one is moved back to end with the columns; only a single panel may end inside a vector.
    """

    first: int
    count: int
    vectors: int
    width: int
    lanes: int
    columns: int

    @property
    def wide(self) -> int:
        """Elements of a copied row: whole vectors."""
        return self.vectors * self.lanes

    def start(self, panel: Expr) -> Expr:
        """First column of a panel."""
        return bind(tirx.min(self.first * self.lanes + panel * self.width, self.columns - self.width))

    def place(self, panel: Expr, depth: int) -> Expr:
        """Where the copy of a panel starts within the copy of its matrix."""
        return (self.first + panel * self.vectors) * (self.lanes * depth)

    def copy(self, kernel: Kernel, operand: Operand, source: Expr, depth: int, target: Expr, to: Expr) -> None:
        """Copy the columns from `source` on to `target[to]`, [depth][vectors]."""
        x = kernel[operand.name]
        with loop(depth) as k:
            start, at = bind(to + k * self.wide), bind(source + k * operand.depth)
            lanes(self.width, self.lanes, lambda i: store(target, start + i, x[at + i * operand.outer]))


def panels_of(columns: int, width: int, vectors: int) -> tuple[Panels, ...]:
    """Panels of about `vectors` vectors of `width` elements, of at most two widths."""
    sizes = [size for _, size in chunks(columns, width, vectors)]
    return tuple(
        Panels(sizes.index(size) * sizes[0], sizes.count(size), size, min(size * width, columns), width, columns)
        for size in sorted(set(sizes))
    )


@dataclass(frozen=True)
class Columns:
    """The columns of a tile as the inner loop reads them: from `base` on, `step` elements a depth, `used` of a row."""

    buffer: Expr
    base: Expr
    step: int
    used: int


def tile_sums(blocks: RowBlocks, rows: Expr, at: Expr, columns: Columns, panels: Panels, dtype: str) -> list[Expr]:
    """The sums of a block of rows, copied to `rows[at]`, times a panel of columns, in registers: a buffer a row."""
    row_stride, depth_stride = blocks.strides
    sums = [registers(panels.wide, dtype) for _ in range(blocks.block)]
    for total in sums:
        unrolled_lanes(columns.used, blocks.lanes, partial(clear, total))
    with loop(blocks.depth) as k:
        source, value = bind(columns.base + k * columns.step), bind(at + k * depth_stride)
        for row, total in enumerate(sums):
            factor = rows[value + row * row_stride]
            unrolled_lanes(columns.used, blocks.lanes, partial(multiply_add, total, factor, columns.buffer, source))
    return sums
