"""The loops of a batched matrix product: copying both operands, and one register tile after another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

from tvm import tirx

from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Kernel,
    Machine,
    bind,
    lanes,
    loop,
    registers,
    scratch,
    store,
    unrolled_lanes,
)
from graphprune.backends.tvm.kernels.dense import clear, copy_lanes, multiply_add
from graphprune.backends.tvm.kernels.epilogue import Epilogue


@dataclass(frozen=True)
class Operand:
    """One operand as the loops see it: its buffer's name, offset, and strides by batch axis, outer axis and depth."""

    name: str
    offset: int
    batch_strides: tuple[int, ...]
    outer: int
    depth: int


@dataclass(frozen=True)
class Panels:
    """`count` panels of `width` columns, `vectors` vectors each; their copies start with vector `first` of the row."""

    first: int
    count: int
    vectors: int
    width: int


@dataclass(frozen=True)
class Product:
    """Sizes of a product: `rows` are broadcast in blocks, vectors run over `columns` in panels.

    `group` blocks of rows are copied together and then share each panel. `packed` tells whether panels are copied,
    `swapped` whether the rows are the product's columns. The machine's lanes are those of `dtype`.
    """

    machine: Machine
    dtype: str
    batch: tuple[int, ...]
    rows: int
    columns: int
    depth: int
    block: int
    group: int
    panels: tuple[Panels, ...]
    row_operand: Operand
    column_operand: Operand
    packed: bool
    swapped: bool

    @property
    def blocks(self) -> int:
        """Blocks of rows of one matrix."""
        return -(-self.rows // self.block)

    @property
    def block_size(self) -> int:
        """Elements of a copied block of rows."""
        return max(self.block * self.depth, 1)

    @property
    def panel_row(self) -> int:
        """Elements of a row of all copied panels: whole vectors."""
        return -(-self.columns // self.machine.lanes) * self.machine.lanes

    @property
    def packed_batches(self) -> int:
        """Matrices of panels to copy: one if all products share them."""
        return math.prod(self.batch) if any(self.column_operand.batch_strides) else 1

    @property
    def row_strides(self) -> tuple[int, int]:
        """Strides of a copied block by row and by depth: in the order in which the operand lies."""
        rows_adjacent = self.row_operand.outer == 1 and self.row_operand.depth != 1
        return (1, self.block) if rows_adjacent else (self.depth, 1)


def emit_product(kernel: Kernel, p: Product, epilogue: Epilogue) -> None:
    """Emit the whole product, which is not empty, into `y`."""
    parallel = p.machine.threads > 1
    columns = scratch(max(p.packed_batches * p.depth * p.panel_row, 1), p.dtype) if p.packed else None
    if columns is not None:
        for panels in p.panels:
            with loop(p.packed_batches * panels.count, parallel=parallel) as step:
                _copy_panel(kernel, p, panels, step, columns)
    groups = -(-p.blocks // p.group)
    with loop(math.prod(p.batch) * groups, parallel=parallel) as step:
        first = bind(step % groups * p.group)
        count = p.group if p.blocks % p.group == 0 else bind(tirx.min(p.group, p.blocks - first))
        rows = scratch(p.group * p.block_size, p.dtype)
        tiles = _Tiles(kernel, p, epilogue, bind(step // groups), first, rows, columns)
        with loop(count) as block:
            tiles.copy_rows(block)
        for panels in p.panels:
            with loop(panels.count) as panel, loop(count) as block:
                tiles.emit(panels, panel, block)


def _start(p: Product, panels: Panels, panel: Expr) -> Expr:
    """First column of a panel; the last panel is moved back to end with the matrix."""
    first = panels.first * p.machine.lanes + panel * panels.width
    return bind(tirx.min(first, p.columns - panels.width))


def _place(p: Product, panels: Panels, panel: Expr) -> Expr:
    """Where the copy of a panel starts within the copy of its matrix."""
    return (panels.first + panel * panels.vectors) * (p.machine.lanes * p.depth)


def _matrix(p: Product, operand: Operand, batch: Expr) -> Expr:
    """Offset of one batch element's matrix in the operand's buffer."""
    offset: Expr = operand.offset
    for extent, stride in zip(reversed(p.batch), reversed(operand.batch_strides), strict=True):
        if stride:
            offset = offset + batch % extent * stride
        batch = batch // extent
    return offset


def _copy_panel(kernel: Kernel, p: Product, panels: Panels, step: Expr, copy: Expr) -> None:
    """Copy one panel to [depth][vectors]."""
    operand, wide = p.column_operand, panels.vectors * p.machine.lanes
    batch, panel = step // panels.count, step % panels.count
    source = bind(_matrix(p, operand, batch) + _start(p, panels, panel) * operand.outer)
    target = bind(batch * (p.depth * p.panel_row) + _place(p, panels, panel))
    with loop(p.depth) as k:
        to, at = bind(target + k * wide), bind(source + k * operand.depth)
        lanes(
            panels.width, p.machine.lanes, lambda i: store(copy, to + i, kernel[operand.name][at + i * operand.outer])
        )


@dataclass(frozen=True)
class _Tiles:
    """The register tiles of one group of row blocks, the first of which is number `first` of its matrix."""

    kernel: Kernel
    product: Product
    epilogue: Epilogue
    batch: Expr
    first: Expr
    rows: Expr
    columns: Expr | None

    def _first_row(self, block: Expr) -> Expr:
        """First row of a block; the last block is moved back to end with the matrix."""
        p = self.product
        return bind(tirx.min((self.first + block) * p.block, p.rows - p.block))

    def copy_rows(self, block: Expr) -> None:
        """Copy one block of rows in the order in which the operand lies."""
        p, operand = self.product, self.product.row_operand
        x, width, to = self.kernel[operand.name], p.machine.lanes, bind(block * p.block_size)
        source = bind(_matrix(p, operand, self.batch) + self._first_row(block) * operand.outer)
        inner, outer = (p.block, p.depth) if p.row_strides[0] == 1 else (p.depth, p.block)
        near, far = (operand.outer, operand.depth) if p.row_strides[0] == 1 else (operand.depth, operand.outer)
        with loop(outer) as line:
            target, at = bind(to + line * inner), bind(source + line * far)
            lanes(inner, width, lambda i: store(self.rows, target + i, x[at + i * near]))

    def emit(self, panels: Panels, panel: Expr, block: Expr) -> None:
        """One register tile: a block of rows times a panel of columns."""
        p, width = self.product, self.product.machine.lanes
        start, (row_stride, depth_stride) = _start(p, panels, panel), p.row_strides
        if self.columns is None:
            x, step, used = self.kernel[p.column_operand.name], p.column_operand.depth, panels.width
            base = bind(_matrix(p, p.column_operand, self.batch) + start)
        else:
            x, step, used = self.columns, panels.vectors * width, panels.vectors * width
            matrix = self.batch * (p.depth * p.panel_row) if p.packed_batches > 1 else 0
            base = bind(matrix + _place(p, panels, panel))
        rows = bind(block * p.block_size)
        sums = [registers(panels.vectors * width, p.dtype) for _ in range(p.block)]
        for total in sums:
            unrolled_lanes(used, width, partial(clear, total))
        with loop(p.depth) as k:
            source, value = bind(base + k * step), bind(rows + k * depth_stride)
            for row, total in enumerate(sums):
                factor = self.rows[value + row * row_stride]
                unrolled_lanes(used, width, partial(multiply_add, total, factor, x, source))
        self._write(panels, start, block, sums)

    def _write(self, panels: Panels, start: Expr, block: Expr, sums: list[Expr]) -> None:
        """Store a tile, epilogue applied; through memory, so that the code of the epilogue is emitted once."""
        p, width = self.product, self.product.machine.lanes
        wide = panels.vectors * width
        line = scratch(p.block * wide, p.dtype)
        for row, total in enumerate(sums):
            unrolled_lanes(panels.width, width, partial(copy_lanes, line, row * wide, total))
        with loop(p.block) as row:
            number = bind(self._first_row(block) + row)
            target, at = bind((self.batch * p.rows + number) * p.columns + start), bind(row * wide)

            def element(i: Expr) -> None:
                i_j = (start + i, number) if p.swapped else (number, start + i)
                store(self.kernel["y"], target + i, self.epilogue(self.kernel, line[at + i], (self.batch, *i_j)))

            lanes(panels.width, width, element)
