"""Batched product of two activation matrices, `y[b, i, j] = sum over k of a[b, i, k] * x[b, k, j]`, of any strides.

Vectors run over one of the two outer axes, rows of the other are broadcast, in the register tiles of `dense`. Both
operands are first copied into the order in which the tiles read them, which makes every later load contiguous whatever
the strides were. Blocks at the end overlap their neighbours instead of being shorter, so there is one inner loop.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from graphprune.backends.tvm.kernels.builder import Expr, Flat, Kernel, Machine, build_function
from graphprune.backends.tvm.kernels.dense import register_tile
from graphprune.backends.tvm.kernels.elements import itemsize, lanes_of
from graphprune.backends.tvm.kernels.epilogue import Epilogue, no_epilogue
from graphprune.backends.tvm.kernels.matmul_tiles import Product, emit_product
from graphprune.backends.tvm.kernels.register_tiles import Operand, RowBlocks, panels_of
from graphprune.backends.tvm.kernels.view import View, coalesce

DIRECT_ROWS = 16
"""Up to so many rows, copying the vector operand costs more than it saves."""

GROUP_BYTES = 1 << 18
"""Copied rows that share each pass over the vector operand; they should stay in the second-level cache."""


def matmul_function(
    name: str,
    machine: Machine,
    a: View,
    x: View,
    operands: Sequence[Flat] = (),
    epilogue: Epilogue = no_epilogue,
    *,
    columns_contiguous: bool = True,
    output_dtype: str = "float32",
) -> Expr:
    """The TIR function (a, x, operands..., y) of views a [batch..., i, k] and x [batch..., k, j].

    The views have one element type, of four or eight bytes, and equal batch axes (repeated with stride 0 where one is
    shared). `y` is [batch][i][j], or [batch][j][i] unless `columns_contiguous`. The epilogue's position is
    (flat batch, i, j).
    """
    size = math.prod(a.shape[:-1]) * x.shape[-1]
    arguments = [Flat("a", a.size, a.dtype), Flat("x", x.size, x.dtype), *operands, Flat("y", size, output_dtype)]

    def body(kernel: Kernel) -> None:
        if size:
            emit_product(kernel, _product(machine, a, x, columns_contiguous=columns_contiguous), epilogue)

    return build_function(name, arguments, body)


def _product(machine: Machine, a: View, x: View, *, columns_contiguous: bool) -> Product:
    machine = replace(machine, lanes=lanes_of(machine, a.dtype))
    batch, strides = coalesce(a.shape[:-2], [a.strides[:-2], x.strides[:-2]])
    left = Operand("a", a.offset, tuple(strides[0]), a.strides[-2], a.strides[-1])
    right = Operand("x", x.offset, tuple(strides[1]), x.strides[-1], x.strides[-2])
    rows, columns, depth = a.shape[-2], x.shape[-1], a.shape[-1]
    if not columns_contiguous:
        rows, columns, left, right = columns, rows, right, left
    block, vectors = register_tile(machine, columns, rows)
    blocks = RowBlocks(left, rows, depth, block, machine.lanes)
    return Product(
        machine=machine,
        dtype=a.dtype,
        batch=tuple(batch),
        columns=columns,
        blocks=blocks,
        group=_group(machine, blocks.count, block * depth * itemsize(a.dtype)),
        panels=panels_of(columns, machine.lanes, vectors),
        column_operand=right,
        packed=right.outer != 1 or rows > DIRECT_ROWS,
        swapped=not columns_contiguous,
    )


def _group(machine: Machine, blocks: int, block_bytes: int) -> int:
    """How many blocks of rows are taken together: few enough to fit and to leave every thread some."""
    most = max(1, min(GROUP_BYTES // max(block_bytes, 1), -(-blocks // machine.threads)))
    return -(-blocks // -(-blocks // most))
