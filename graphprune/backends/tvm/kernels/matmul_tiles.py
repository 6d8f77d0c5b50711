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
    scratch,
    store,
    unrolled_lanes,
)
from graphprune.backends.tvm.kernels.dense import copy_lanes
from graphprune.backends.tvm.kernels.epilogue import Epilogue
from graphprune.backends.tvm.kernels.register_tiles import Columns, Operand, Panels, RowBlocks, tile_sums


@dataclass(frozen=True)
class Product:
    """Sizes of a product: the rows of `blocks` are broadcast, vectors run over `columns` in panels.

    `group` blocks of rows are copied together and then share each panel. `packed` tells whether panels are copied,
    `swapped` whether the rows are the product's columns. The machine's lanes are those of `dtype`.
    """

    machine: Machine
    dtype: str
    batch: tuple[int, ...]
    columns: int
    blocks: RowBlocks
    group: int
    panels: tuple[Panels, ...]
    column_operand: Operand
    packed: bool
    swapped: bool

    @property
    def depth(self) -> int:
        """Elements of a row."""
        return self.blocks.depth

    @property
    def panel_row(self) -> int:
        """Elements of a row of all copied panels: whole vectors."""
        return -(-self.columns // self.machine.lanes) * self.machine.lanes

    @property
    def packed_batches(self) -> int:
        """Matrices of panels to copy: one if all products share them."""
        return math.prod(self.batch) if any(self.column_operand.batch_strides) else 1


def emit_product(kernel: Kernel, p: Product, epilogue: Epilogue) -> None:
    """Emit the whole product, which is not empty, into `y`."""
    parallel = p.machine.threads > 1
    columns = scratch(max(p.packed_batches * p.depth * p.panel_row, 1), p.dtype) if p.packed else None
    if columns is not None:
        for panels in p.panels:
            with loop(p.packed_batches * panels.count, parallel=parallel) as step:
                _copy_panel(kernel, p, panels, step, columns)
    groups = -(-p.blocks.count // p.group)
    with loop(math.prod(p.batch) * groups, parallel=parallel) as step:
        first = bind(step % groups * p.group)
        count = p.group if p.blocks.count % p.group == 0 else bind(tirx.min(p.group, p.blocks.count - first))
        rows = scratch(p.group * p.blocks.size, p.dtype)
        tiles = _Tiles(kernel, p, epilogue, bind(step // groups), first, rows, columns)
        with loop(count) as block:
            tiles.copy_rows(block)
        for panels in p.panels:
            with loop(panels.count) as panel, loop(count) as block:
                tiles.emit(panels, panel, block)


def _copy_panel(kernel: Kernel, p: Product, panels: Panels, step: Expr, copy: Expr) -> None:
    """Copy one panel to [depth][vectors]."""
    operand, batch, panel = p.column_operand, step // panels.count, step % panels.count
    source = bind(operand.matrix(p.batch, batch) + panels.start(panel) * operand.outer)
    panels.copy(
        kernel, operand, source, p.depth, copy, bind(batch * (p.depth * p.panel_row) + panels.place(panel, p.depth))
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

    def copy_rows(self, block: Expr) -> None:
        """Copy one block of rows in the order in which the operand lies."""
        blocks = self.product.blocks
        matrix = blocks.operand.matrix(self.product.batch, self.batch)
        blocks.copy(self.kernel, matrix, self.first + block, self.rows, bind(block * blocks.size))

    def emit(self, panels: Panels, panel: Expr, block: Expr) -> None:
        """One register tile: a block of rows times a panel of columns."""
        blocks, start = self.product.blocks, panels.start(panel)
        at, columns = bind(block * blocks.size), self._columns(panels, panel, start)
        self._write(panels, start, block, tile_sums(blocks, self.rows, at, columns, panels, self.product.dtype))

    def _columns(self, panels: Panels, panel: Expr, start: Expr) -> Columns:
        p = self.product
        if self.columns is None:
            base = bind(p.column_operand.matrix(p.batch, self.batch) + start)
            return Columns(self.kernel[p.column_operand.name], base, p.column_operand.depth, panels.width)
        matrix = self.batch * (p.depth * p.panel_row) if p.packed_batches > 1 else 0
        return Columns(self.columns, bind(matrix + panels.place(panel, p.depth)), panels.wide, panels.wide)

    def _write(self, panels: Panels, start: Expr, block: Expr, sums: list[Expr]) -> None:
        """Store a tile, epilogue applied; through memory, so that the code of the epilogue is emitted once."""
        p, width, blocks = self.product, self.product.machine.lanes, self.product.blocks
        line = scratch(blocks.block * panels.wide, p.dtype)
        for row, total in enumerate(sums):
            unrolled_lanes(panels.width, width, partial(copy_lanes, line, row * panels.wide, total))
        with loop(blocks.block) as row:
            number = bind(blocks.first(self.first + block) + row)
            target, at = bind((self.batch * blocks.rows + number) * p.columns + start), bind(row * panels.wide)

            def element(i: Expr) -> None:
                i_j = (start + i, number) if p.swapped else (number, start + i)
                store(self.kernel["y"], target + i, self.epilogue(self.kernel, line[at + i], (self.batch, *i_j)))

            lanes(panels.width, width, element)
