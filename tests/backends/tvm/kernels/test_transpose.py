"""Tiles turned over in registers: which axes, and that every element arrives, against NumPy."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Flat,
    Kernel,
    Machine,
    build_function,
    registers,
    store,
    unrolled_lanes,
)
from graphprune.backends.tvm.kernels.dense import copy_lanes
from graphprune.backends.tvm.kernels.elementwise import copy_function, elementwise_function
from graphprune.backends.tvm.kernels.transpose import Turn, find_turn, transpose
from graphprune.backends.tvm.kernels.view import View
from tests.backends.tvm.kernels.harness import MACHINES, V3, V4, array_of, random, run


def moved(machine: Machine, source: View, result: View) -> None:
    flat = random(source.size)
    y = run(copy_function(machine, source, result), machine, [flat], result.size)
    np.testing.assert_array_equal(array_of(result, y), array_of(source, flat))


def dense(shape: tuple[int, ...], order: tuple[int, ...] | None = None) -> View:
    return View.dense(None, "float32", shape, order)


def load(line: Expr, x: Expr, start: int, i: Expr) -> None:
    store(line, i, x[start + i])


@pytest.mark.parametrize("machine", MACHINES)
def test_a_square_of_registers(machine: Machine) -> None:
    width = machine.lanes

    def body(kernel: Kernel) -> None:
        lines = [registers(width) for _ in range(width)]
        for number, line in enumerate(lines):
            unrolled_lanes(width, width, partial(load, line, kernel["x"], number * width))
        for number, line in enumerate(transpose(lines, width)):
            unrolled_lanes(width, width, partial(copy_lanes, kernel["y"], number * width, line))

    size = width * width
    x = random(size)
    y = run(build_function("main", [Flat("x", size, "float32"), Flat("y", size, "float32")], body), machine, [x], size)
    np.testing.assert_array_equal(y.reshape(width, width), x.reshape(width, width).T)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("shape", [(4, 4), (16, 16), (5, 33), (33, 5), (15, 17), (40, 48)])
def test_matrices(machine: Machine, shape: tuple[int, int]) -> None:
    moved(machine, dense(shape), dense(shape, (1, 0)))
    moved(replace(machine, threads=2), dense((3, *shape)), dense((3, *shape), (0, 2, 1)))


@given(
    st.lists(st.integers(1, 19), min_size=2, max_size=4),
    st.permutations(range(4)),
    st.permutations(range(4)),
    st.sampled_from([V3, V4]),
)
@settings(max_examples=25, deadline=None)
def test_any_orders(shape: list[int], source: list[int], result: list[int], machine: Machine) -> None:
    axes = range(len(shape))
    orders = [tuple(axis for axis in order if axis in axes) for order in (source, result)]
    moved(machine, dense(tuple(shape), orders[0]), dense(tuple(shape), orders[1]))


def test_other_operands_are_read_as_they_lie() -> None:
    shape = (6, 20, 21)
    operands = [dense(shape), dense(shape, (0, 2, 1)), dense((20, 1)).broadcast(shape), dense((21,)).broadcast(shape)]
    result = dense(shape, (0, 2, 1))
    flats = [random(view.size, seed) for seed, view in enumerate(operands)]
    function = elementwise_function("main", V4, operands, result, lambda x: x[0] * x[1] + x[2] - x[3])
    y = run(function, V4, flats, result.size)
    a, b, c, d = (array_of(view, flat) for view, flat in zip(operands, flats, strict=True))
    np.testing.assert_allclose(array_of(result, y), a * b + c - d, rtol=1e-6, atol=1e-6)


def test_axes_that_fit_one_tile_are_taken_together() -> None:
    # [row, strip row, strip column] to [strip row, strip column, row]: 4 * 2 lanes of 9 rows
    assert find_turn((9, 4, 2), [(1, 50, 20)], (8, 2, 1), 16) == Turn((1, 2), (0,), (0,))
    assert find_turn((4, 2, 9), [(2, 1, 8)], (18, 9, 1), 16) == Turn((2,), (0, 1), (0,))


@pytest.mark.parametrize(
    ("extents", "operands", "result"),
    [
        pytest.param((8, 8), [(8, 1)], (8, 1), id="same order"),
        pytest.param((8, 8), [(0, 0)], (8, 1), id="one element"),
        pytest.param((8, 8), [(1, 8)], (16, 2), id="result with gaps"),
        pytest.param((8, 8), [(2, 16)], (8, 1), id="operand with gaps"),
        pytest.param((3, 8), [(1, 3)], (8, 1), id="too few across"),
        pytest.param((8, 3), [(1, 8)], (3, 1), id="too few along"),
        pytest.param((8, 8, 8), [(1, 8, 64), (8, 1, 64)], (64, 8, 1), id="operands that differ"),
    ],
)
def test_nothing_to_turn(extents: tuple[int, ...], operands: list[tuple[int, ...]], result: tuple[int, ...]) -> None:
    assert find_turn(extents, operands, result, 16) is None
