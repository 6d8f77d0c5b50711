"""Constant weight times a few vectors, dense and sparse, against NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.backends.tvm.kernels.builder import Expr, Flat, Kernel, Machine
from graphprune.backends.tvm.kernels.epilogue import Epilogue, Position, no_epilogue
from graphprune.backends.tvm.kernels.problem import Planes
from graphprune.backends.tvm.kernels.sparse_rows import sparse_rows
from graphprune.backends.tvm.kernels.vector import (
    VectorProblem,
    dense_vector_function,
    output_blocks,
    sparse_vector_function,
)
from graphprune.layouts import csr
from tests.backends.tvm.kernels.harness import MACHINES, V3, Array, random, run

VectorKernel = Callable[..., Array]

SIZES = [(1, 1, 1), (1, 40, 3), (10, 5, 1), (33, 20, 2), (130, 7, 1), (300, 12, 5), (16, 64, 7)]


def problem(machine: Machine, outputs: int, inputs: int, positions: int, *, token_major: bool = False) -> VectorProblem:
    strides = (1, inputs) if token_major else (positions, 1)
    return VectorProblem(machine, Planes(inputs * positions, inputs, 0, *strides), outputs, positions)


def inputs_of(p: VectorProblem, x: Array) -> Array:
    strides = (p.planes.channel_stride * 4, p.planes.position_stride * 4)
    return np.lib.stride_tricks.as_strided(x[p.planes.offset :], (p.planes.channels, p.positions), strides)


def dense(p: VectorProblem, weight: Array, x: Array, epilogue: Epilogue = no_epilogue, *extra: Array) -> Array:
    operands = [Flat(f"operand{i}", array.size, "float32") for i, array in enumerate(extra)]
    function = dense_vector_function("main", p, operands, epilogue)
    y = run(function, p.machine, [x, output_blocks(weight, p.block), *extra], p.outputs * p.positions)
    return y.reshape(p.outputs, p.positions)


def sparse(p: VectorProblem, weight: Array, x: Array, epilogue: Epilogue = no_epilogue, *extra: Array) -> Array:
    rows = sparse_rows(csr.pack(weight), np.zeros(1, np.int32), p.planes.channel_stride, p.planes.channels)
    operands = [Flat(f"operand{i}", array.size, "float32") for i, array in enumerate(extra)]
    function = sparse_vector_function("main", p, rows, operands, epilogue)
    y = run(function, p.machine, [x, *rows.arrays, *extra], p.outputs * p.positions)
    return y.reshape(p.outputs, p.positions)


def random_weight(outputs: int, inputs: int, zeros: float = 0.0) -> Array:
    weight: Array = random(outputs * inputs, 1).reshape(outputs, inputs)
    weight[np.random.default_rng(2).random(weight.shape) < zeros] = 0
    return weight


@pytest.mark.parametrize("kernel", [dense, sparse])
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("outputs", "inputs", "positions"), SIZES)
def test_equals_numpy(kernel: VectorKernel, machine: Machine, outputs: int, inputs: int, positions: int) -> None:
    p = problem(machine, outputs, inputs, positions)
    weight, x = random_weight(outputs, inputs, 0.5), random(inputs * positions, 3)
    np.testing.assert_allclose(kernel(p, weight, x), weight @ inputs_of(p, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kernel", [dense, sparse])
def test_tokens_may_lie_apart(kernel: VectorKernel) -> None:
    p = problem(V3, 20, 30, 3, token_major=True)
    weight, x = random_weight(20, 30), random(90, 3)
    np.testing.assert_allclose(kernel(p, weight, x), weight @ x.reshape(3, 30).T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("positions", [1, 3])
def test_inputs_may_start_later(positions: int, machine: Machine) -> None:
    planes = Planes(5 + 30 * positions, 30, 0, 1, 30, offset=5)
    p = VectorProblem(machine, planes, 20, positions)
    weight, x = random_weight(20, 30), random(planes.size, 3)
    np.testing.assert_allclose(sparse(p, weight, x), weight @ x[5:].reshape(positions, 30).T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kernel", [dense, sparse])
def test_epilogue_knows_its_place(kernel: VectorKernel) -> None:
    p = problem(V3, 37, 9, 2)
    weight, x, bias = random_weight(37, 9), random(18, 3), random(74, 4)

    def add(kernel: Kernel, value: Expr, position: Position) -> Expr:
        return value + kernel["operand0"][position[1] * 2 + position[2]]

    expected = weight @ inputs_of(p, x) + bias.reshape(37, 2)
    np.testing.assert_allclose(kernel(p, weight, x, add, bias), expected, rtol=1e-5, atol=1e-5)


def test_rows_without_nonzeros_give_zero() -> None:
    p = problem(V3, 6, 8, 2)
    weight = np.zeros((6, 8), np.float32)
    weight[2, 3] = 2
    x = random(16, 3)
    expected = np.zeros((6, 2), np.float32)
    expected[2] = 2 * x[6:8]
    np.testing.assert_array_equal(sparse(p, weight, x), expected)
    np.testing.assert_array_equal(sparse(p, np.zeros((6, 8), np.float32), x), np.zeros((6, 2)))


def test_a_pruned_input_may_be_infinite() -> None:
    """A zero that is not stored is not multiplied."""
    weight, x = random_weight(5, 20), random(20, 3)
    weight[:, 7], x[7] = 0, np.inf
    assert np.isfinite(sparse(problem(V3, 5, 20, 1), weight, x)).all()


@given(st.integers(1, 70), st.integers(1, 40), st.integers(1, 7), st.floats(0, 1))
@settings(max_examples=15, deadline=None)
def test_any_size(outputs: int, inputs: int, positions: int, zeros: float) -> None:
    p = problem(V3, outputs, inputs, positions)
    weight, x = random_weight(outputs, inputs, zeros), random(inputs * positions, 3)
    expected = weight @ inputs_of(p, x)
    for kernel in (dense, sparse):
        np.testing.assert_allclose(kernel(p, weight, x), expected, rtol=1e-5, atol=1e-5)
