"""Products of rows with dense weights and weights in slots, against NumPy."""

from __future__ import annotations

from dataclasses import replace

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from graphprune.backends.tvm.kernels.builder import Expr, Flat, Kernel, Machine, build_function, store
from graphprune.backends.tvm.kernels.row_product import DenseProduct, RowProduct, Rows, row_product_function
from graphprune.backends.tvm.kernels.slots import SlotProduct
from tests.backends.tvm.kernels.harness import MACHINES, V3, V4, Array, random, run

SIZES = [(1, 16, 16), (1, 40, 130), (2, 32, 7), (3, 17, 33), (5, 64, 64), (9, 23, 100), (13, 3, 1), (17, 70, 300)]
"""Rows, inputs, outputs."""
SECOND = 1


def second_of_two(product: RowProduct, arrays: list[Array], x: Array, start: Array) -> Array:
    """The product with the second weight, of rows that lie 3 elements apart from the end of a buffer, plus `start`."""
    rows, inputs = x.shape
    pitch = -(-inputs // 32) * 32 + 3  # rows in slots are read up to whole groups
    buffer = np.zeros((rows, pitch), np.float32)
    buffer[:, :inputs] = x

    def body(kernel: Kernel) -> None:
        def started(row: Expr, output: Expr) -> Expr:
            return kernel["start"][row * product.outputs + output]

        def write(row: Expr, output: Expr, total: Expr) -> None:
            store(kernel["y"], row * product.outputs + output, total)

        product.emit(kernel, SECOND, Rows(kernel["x"], 0, pitch), started, write)

    size = rows * product.outputs
    arguments = [Flat("x", buffer.size, "float32"), *product.arguments(), Flat("start", size, "float32")]
    function = build_function("main", [*arguments, Flat("y", size, "float32")], body)
    read = [buffer, *arrays, start]
    return run(function, product.machine, [array.reshape(-1) for array in read], size).reshape(rows, product.outputs)


def two_weights(inputs: int, outputs: int, zeros: float) -> Array:
    weights = random(2 * outputs * inputs, 1).reshape(2, outputs, inputs)
    weights[np.random.default_rng(2).random(weights.shape) < zeros] = 0
    return weights


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("rows", "inputs", "outputs"), SIZES)
def test_dense(machine: Machine, rows: int, inputs: int, outputs: int) -> None:
    weights, x, start = two_weights(inputs, outputs, 0), random(rows * inputs).reshape(rows, inputs), random(10**4, 3)
    product = DenseProduct(machine, rows, inputs, outputs, weights=2)
    found = second_of_two(product, product.arranged(weights), x, start[: rows * outputs])
    expected = x @ weights[SECOND].T + start[: rows * outputs].reshape(rows, outputs)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("zeros", [0, 0.9, 1])
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("rows", "inputs", "outputs"), SIZES)
def test_slots(machine: Machine, rows: int, inputs: int, outputs: int, zeros: float) -> None:
    weights, x = two_weights(inputs, outputs, zeros), random(rows * inputs).reshape(rows, inputs)
    start = random(rows * outputs, 3)
    product = SlotProduct.of(machine, rows, weights, "weight")
    found = second_of_two(product, product.arrays, x, start)
    expected = x @ weights[SECOND].T + start.reshape(rows, outputs)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("machine", [V4, replace(V4, threads=2)], ids=["one thread", "two"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_kernel_of_rows(dtype: str, machine: Machine) -> None:
    rows, inputs, outputs, offset, stride = 11, 9, 150, 5, 13
    weights, x = two_weights(inputs, outputs, 0)[:1].astype(dtype), random(offset + rows * stride).astype(dtype)
    product = DenseProduct(machine, rows, inputs, outputs, dtype)
    function = row_product_function("main", product, x.size, offset, stride)
    found = run(function, machine, [x, product.arranged(weights)[0].reshape(-1)], rows * outputs, dtype)
    expected = x[offset:].reshape(rows, stride)[:, :inputs] @ weights[0].T
    np.testing.assert_allclose(found.reshape(rows, outputs), expected, rtol=1e-5, atol=1e-5)


def test_blocks_are_about_as_wide_as_each_other() -> None:
    product = DenseProduct(V4, 1, 8, 9 * 16)
    assert (product.block, product.blocks) == (5 * 16, 2)  # not 8 and 1 vectors
    assert product.block_starts().tolist() == [0, 4 * 16]


@pytest.mark.parametrize(("rows", "tile"), [(1, (1, 8)), (2, (2, 8)), (4, (4, 6)), (8, (8, 3)), (9, (5, 4))])
def test_a_tile_fills_the_registers(rows: int, tile: tuple[int, int]) -> None:
    product = DenseProduct(V4, rows, 8, 4096)
    assert (product.tile_rows, product.most_vectors) == tile
    assert product.tile_rows * product.most_vectors <= 24


def test_operations_are_those_that_are_done() -> None:
    weights = np.zeros((2, 64, 64), np.float32)
    weights[:, 5, 7] = 1
    assert DenseProduct(V3, 3, 64, 64).operations == 3 * 64 * 64
    assert SlotProduct.of(V4, 3, weights, "w").operations == 3 * 64  # one slot, of all outputs of the block


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_slots_that_do_not_fit_l2_take_16_bits_a_value(dtype: npt.DTypeLike, machine: Machine) -> None:
    weights, x, start = two_weights(70, 100, 0.8), random(3 * 70).reshape(3, 70), random(300, 3)
    weights = weights.astype(dtype).astype(np.float32)
    far, near = (SlotProduct.of(replace(machine, l2_bytes=size), 3, weights, "w") for size in (1 << 10, 1 << 20))
    assert (far.arrays[0].itemsize, near.arrays[0].itemsize) == (2, 4)
    found, expected = (second_of_two(each, each.arrays, x, start) for each in (far, near))
    np.testing.assert_array_equal(found, expected)
