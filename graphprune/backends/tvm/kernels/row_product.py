"""A few rows times a constant weight, emitted into other kernels: as one of the products of each step of a recurrence.

`y[r, o] = start[r, o] + sum over k of x[r, k] * weight[o, k]`. Vectors run over outputs; a tile of rows and vectors of
outputs is summed in registers, so that all rows of a tile share what is loaded of the weight. With few rows that is
what takes the time, so weights lie in the order in which they are read.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from tvm import tirx

from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Flat,
    Kernel,
    Machine,
    bind,
    build_function,
    constant,
    loop,
    registers,
    store,
    unrolled_lanes,
)
from graphprune.backends.tvm.kernels.elements import itemsize

Array = npt.NDArray[Any]

Start = Callable[[Expr, Expr], Expr]
"""From the row and the output, a lane of a vector, to what the products are added to."""

Write = Callable[[Expr, Expr, Expr], None]
"""Stores the sum of a row and an output, a lane of a vector."""

WORD = 4
"""Bytes of an element, of which `Machine.lanes` make a vector."""


@dataclass(frozen=True)
class Rows:
    """Where row `r` starts: at `offset + r * stride` of a buffer."""

    buffer: Expr
    offset: Expr
    stride: int

    def start(self, row: Expr) -> Expr:
        """The place of the first element of a row."""
        return self.offset + row * self.stride


@dataclass(frozen=True)
class RowProduct(abc.ABC):
    """The product of `rows` rows of `inputs` elements with one of several weights of the same shape.

    Attributes:
        machine: What it is emitted for.
        rows: Rows that are there at once.
        inputs: Elements of a row.
        outputs: Elements of a row of the result.
        dtype: Of all elements.
        name: What the names of its buffers begin with.
    """

    machine: Machine
    rows: int
    inputs: int
    outputs: int
    dtype: str = "float32"
    name: str = "weight"

    most_vectors: ClassVar[int] = 8

    @property
    def lanes(self) -> int:
        """Elements of a vector."""
        return self.machine.lanes * WORD // itemsize(self.dtype)

    @property
    @abc.abstractmethod
    def most_rows(self) -> int:
        """Of a tile."""

    @property
    def tiles(self) -> int:
        """Tiles of rows."""
        return -(-self.rows // self.most_rows)

    @property
    def tile_rows(self) -> int:
        """Rows of a tile; the last one ends with the rows, and overlaps the one before."""
        return -(-self.rows // self.tiles)

    @property
    def vectors(self) -> int:
        """Vectors of outputs of a tile, of all blocks about as many."""
        needed = -(-self.outputs // self.lanes)
        blocks = -(-needed // self.most_vectors)
        return -(-needed // blocks)

    @property
    def block(self) -> int:
        """Outputs of a tile."""
        return min(self.vectors * self.lanes, self.outputs)

    @property
    def blocks(self) -> int:
        """Tiles of outputs."""
        return -(-self.outputs // self.block)

    def block_starts(self) -> npt.NDArray[np.int64]:
        """The first output of each block; the last block ends with the outputs, and overlaps the one before."""
        return np.minimum(np.arange(self.blocks) * self.block, self.outputs - self.block)

    @property
    @abc.abstractmethod
    def operations(self) -> int:
        """Multiplications of all rows with one weight."""

    @abc.abstractmethod
    def arguments(self) -> list[Flat]:
        """The buffers of the weights."""

    @abc.abstractmethod
    def _add(self, kernel: Kernel, block: Expr, starts: list[Expr], x: Expr, sums: list[Expr]) -> None:
        """Add the products of the rows that start there with the block of one weight, counted through all weights."""

    def emit(
        self, kernel: Kernel, weight: Expr, x: Rows, start: Start, write: Write, *, parallel: bool = False
    ) -> None:
        """Emit the product with weight number `weight`."""
        with loop(self.blocks, parallel=parallel) as block:
            first = bind(tirx.min(block * self.block, self.outputs - self.block))
            with loop(self.tiles) as tile:
                row = bind(tirx.min(tile * self.tile_rows, self.rows - self.tile_rows))
                sums = [self._started(start, row + r, first) for r in range(self.tile_rows)]
                starts = [bind(x.start(row + r)) for r in range(self.tile_rows)]
                self._add(kernel, bind(weight * self.blocks + block), starts, x.buffer, sums)
                for r, total in enumerate(sums):
                    self._write(write, row + r, first, total)

    def _started(self, start: Start, row: Expr, first: Expr) -> Expr:
        total = registers(self.vectors * self.lanes, self.dtype)
        unrolled_lanes(self.block, self.lanes, lambda i: store(total, i, start(row, first + i)))
        return total

    def _write(self, write: Write, row: Expr, first: Expr, total: Expr) -> None:
        unrolled_lanes(self.block, self.lanes, lambda i: write(row, first + i, total[i]))


@dataclass(frozen=True)
class DenseProduct(RowProduct):
    """With `weights` weights as `arranged` has them."""

    weights: int = 1

    @property
    def _sums(self) -> int:
        """Registers for sums, beside those for inputs and weights."""
        return self.machine.registers * 3 // 4

    @property
    def most_rows(self) -> int:
        """As many as leave registers for three vectors of outputs."""
        return self._sums // 3

    @property
    def most_vectors(self) -> int:  # type: ignore[override]
        """As many as registers hold for all rows of a tile."""
        return min(8, self._sums // self.tile_rows)

    @property
    def operations(self) -> int:
        """Of all elements."""
        return self.rows * self.inputs * self.outputs

    def arguments(self) -> list[Flat]:
        """One buffer, [weight][block][input][output of the block]."""
        return [Flat(self.name, self.weights * self.blocks * self.inputs * self.block, self.dtype)]

    def arranged(self, weights: Array) -> list[Array]:
        """The buffer of weights [weights, outputs, inputs]."""
        places = self.block_starts()[:, None] + np.arange(self.block)
        return [np.ascontiguousarray(weights[:, places].transpose(0, 1, 3, 2))]

    def _add(self, kernel: Kernel, block: Expr, starts: list[Expr], x: Expr, sums: list[Expr]) -> None:
        with loop(self.inputs) as k:
            at = bind((block * self.inputs + k) * self.block)
            values = [x[start + k] for start in starts]

            def add(i: Expr) -> None:
                for value, total in zip(values, sums, strict=True):
                    store(total, i, total[i] + value * kernel[self.name][at + i])

            unrolled_lanes(self.block, self.lanes, add)


def row_product_function(name: str, product: DenseProduct, size: int, offset: int, stride: int) -> Expr:
    """The TIR function (x, weight, y), `y` [row][output]; rows are `stride` apart in a buffer of `size`."""

    def start(_row: Expr, _output: Expr) -> Expr:
        return constant(0.0, product.dtype)

    def body(kernel: Kernel) -> None:
        def write(row: Expr, output: Expr, total: Expr) -> None:
            store(kernel["y"], row * product.outputs + output, total)

        parallel = product.machine.threads > 1
        product.emit(kernel, 0, Rows(kernel["x"], offset, stride), start, write, parallel=parallel)

    x, y = Flat("x", size, product.dtype), Flat("y", product.rows * product.outputs, product.dtype)
    return build_function(name, [x, *product.arguments(), y], body)
