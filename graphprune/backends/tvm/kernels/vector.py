"""Constant weight times a few vectors: matrix products of fewer positions than a vector has lanes.

With so few positions the weight is what moves through memory, each element once. A dense weight is read in vectors of
neighbouring outputs; a sparse one row after row, with several independent sums, so that no addition waits for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from tvm import tirx
from tvm.tirx.script import builder as T

from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Flat,
    Kernel,
    Machine,
    bind,
    build_function,
    lanes,
    loop,
    registers,
    select_last,
    store,
    unrolled_lanes,
)
from graphprune.backends.tvm.kernels.dense import clear
from graphprune.backends.tvm.kernels.dot import multiply_and_add
from graphprune.backends.tvm.kernels.elements import FLOAT32, Elements
from graphprune.backends.tvm.kernels.epilogue import Epilogue, no_epilogue
from graphprune.backends.tvm.kernels.lookup import LOOKUP, has_lookup, looked_up
from graphprune.backends.tvm.kernels.problem import Planes
from graphprune.backends.tvm.kernels.sparse_rows import SparseRows

MOST_VECTORS = 8
"""Vectors of outputs that are summed together."""

SUMS = LOOKUP
"""Independent sums of a sparse row: one for each of the inputs that are looked up at once."""


@dataclass(frozen=True)
class VectorProblem:
    """`y[m, p] = sum over k of weight[m, k] * x[k, p]` for a few `positions`; `x` is one image of `planes`."""

    machine: Machine
    planes: Planes
    outputs: int
    positions: int
    elements: Elements = FLOAT32

    @property
    def block(self) -> int:
        """Outputs that a dense kernel sums together: as many vectors as registers hold for every position."""
        fitting = (self.machine.registers * 3 // 4) // self.positions
        needed = -(-self.outputs // self.machine.lanes)
        return max(1, min(MOST_VECTORS, fitting, needed)) * self.machine.lanes

    @property
    def looks_up(self) -> bool:
        """Whether the inputs of several nonzeros are read at once; neighbouring positions of one input are, anyway."""
        return has_lookup(self.machine) and (self.positions == 1 or self.planes.position_stride != 1)

    def input(self, x: Expr, channel: Expr, position: Expr) -> Expr:
        """An element of the input."""
        p = self.planes
        return x[p.offset + channel * p.channel_stride + position * p.position_stride]


def output_blocks(weight: npt.NDArray[np.generic], block: int) -> npt.NDArray[np.generic]:
    """Pack a weight [outputs, inputs] as [blocks][inputs][block], padded with zero outputs."""
    outputs, inputs = weight.shape
    blocks = -(-outputs // block)
    padded = np.zeros((blocks * block, inputs), weight.dtype)
    padded[:outputs] = weight
    return np.ascontiguousarray(padded.reshape(blocks, block, inputs).transpose(0, 2, 1))


def dense_vector_function(
    name: str,
    problem: VectorProblem,
    operands: Sequence[Flat] = (),
    epilogue: Epilogue = no_epilogue,
    output_dtype: str = "float32",
) -> Expr:
    """The TIR function (x, weight, operands..., y); `weight` comes from `output_blocks`, `y` is [output][position].

    The epilogue's position is (0, output, position).
    """
    p = problem
    blocks = -(-p.outputs // p.block)
    weight = Flat("weight", blocks * p.planes.channels * p.block, p.elements.weight)

    def body(kernel: Kernel) -> None:
        with loop(blocks, parallel=p.machine.threads > 1) as block:
            sums = _sum_block(kernel, p, block)
            first, last = bind(block * p.block), p.outputs - (blocks - 1) * p.block

            def write(*, is_last: bool) -> None:
                for position, total in enumerate(sums):
                    element = partial(_write_output, kernel, p, epilogue, total, first, position)
                    unrolled_lanes(last if is_last else p.block, p.machine.lanes, element)

            if last == p.block:
                write(is_last=False)
            else:
                select_last(block, blocks, write)

    return build_function(name, _arguments(p, [weight, *operands], output_dtype), body)


def _sum_block(kernel: Kernel, p: VectorProblem, block: Expr) -> list[Expr]:
    """The sums of a block of outputs in registers, for each position."""
    sums = [registers(p.block, p.elements.sums) for _ in range(p.positions)]
    for total in sums:
        unrolled_lanes(p.block, p.machine.lanes, partial(clear, total))
    with loop(p.planes.channels) as k:
        row = bind((block * p.planes.channels + k) * p.block)
        for position, total in enumerate(sums):
            value = p.input(kernel["x"], k, position)

            def add(i: Expr, value: Expr = value, total: Expr = total) -> None:
                store(total, i, multiply_and_add(p.elements, total[i], kernel["weight"][row + i], value))

            unrolled_lanes(p.block, p.machine.lanes, add)
    return sums


def _write_output(
    kernel: Kernel, p: VectorProblem, epilogue: Epilogue, total: Expr, first: Expr, position: int, i: Expr
) -> None:
    place = (tirx.IntImm("int32", 0), first + i, tirx.IntImm("int32", position))
    store(kernel["y"], (first + i) * p.positions + position, epilogue(kernel, total[i], place))


def sparse_vector_function(
    name: str,
    problem: VectorProblem,
    weight: SparseRows,
    operands: Sequence[Flat] = (),
    epilogue: Epilogue = no_epilogue,
    output_dtype: str = "float32",
) -> Expr:
    """The TIR function (x, values, offsets, starts, operands..., y); `y` is [output][position].

    `weight` has one block of channels, and its offsets apart, which are scaled by the planes' channel stride. The
    epilogue's position is (0, output, position).
    """
    p = problem
    arguments = [*weight.arguments(), *operands]

    def body(kernel: Kernel) -> None:
        with loop(p.outputs, parallel=p.machine.threads > 1) as row:
            sums = _sum_row(kernel, p, weight, row)

            def element(i: Expr) -> None:
                value = epilogue(kernel, sums[i], (tirx.IntImm("int32", 0), row, i))
                store(kernel["y"], row * p.positions + i, value)

            lanes(p.positions, p.machine.lanes, element)

    return build_function(name, _arguments(p, arguments, output_dtype), body)


def _sum_row(kernel: Kernel, p: VectorProblem, weight: SparseRows, row: Expr) -> Expr:
    """One row's sums in registers: `SUMS` runs of all positions, added up at the end."""
    width = p.machine.lanes
    sums = [registers(p.positions) for _ in range(SUMS)]
    for total in sums:
        lanes(p.positions, width, partial(clear, total))
    first = bind(kernel["starts"][row])
    count = bind(kernel["starts"][row + 1] - first)

    add = partial(_add_nonzero, kernel, p, weight)
    if p.looks_up:
        _add_groups(kernel, p, weight, sums, first, count)
    else:
        with loop(count // SUMS) as group:
            for number, total in enumerate(sums):
                add(total, bind(first + group * SUMS + number))
    with loop(count % SUMS) as rest:
        add(sums[0], bind(first + count // SUMS * SUMS + rest))
    half = SUMS
    while half > 1:
        half //= 2
        for total, other in zip(sums[:half], sums[half : 2 * half], strict=True):
            lanes(p.positions, width, partial(_add_up, total, other))
    return sums[0]


def _add_nonzero(kernel: Kernel, p: VectorProblem, weight: SparseRows, total: Expr, j: Expr) -> None:
    """Add nonzero number `j` times its input at all positions."""
    value, at = weight.value(kernel, j), bind(p.planes.offset + weight.offset(kernel, j))

    def element(i: Expr) -> None:
        store(total, i, total[i] + value * kernel["x"][at + i * p.planes.position_stride])

    lanes(p.positions, p.machine.lanes, element)


def _add_groups(
    kernel: Kernel, p: VectorProblem, weight: SparseRows, sums: Sequence[Expr], first: Expr, count: Expr
) -> None:
    """The sums of all whole groups of nonzeros, a vector of inputs looked up for each group and position."""
    totals, group = [registers(SUMS) for _ in range(p.positions)], T.ramp(0, 1, SUMS)
    for total in totals:
        unrolled_lanes(SUMS, SUMS, partial(clear, total))
    with loop(count // SUMS) as number:
        j = bind(first + number * SUMS)
        values, places = weight.value(kernel, j, SUMS), weight.offset(kernel, j, SUMS)
        for position, total in enumerate(totals):
            inputs = looked_up(kernel["x"], places + (p.planes.offset + position * p.planes.position_stride))
            store(total, group, total[group] + values * inputs)
    for i, each in enumerate(sums):
        for position, total in enumerate(totals):
            store(each, position, total[i])


def _add_up(total: Expr, other: Expr, i: Expr) -> None:
    store(total, i, total[i] + other[i])


def _arguments(p: VectorProblem, middle: Sequence[Flat], output_dtype: str) -> list[Flat]:
    return [Flat("x", p.planes.size, p.elements.inputs), *middle, Flat("y", p.outputs * p.positions, output_dtype)]
