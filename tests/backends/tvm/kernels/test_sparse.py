"""Sparse rows times planes: convolutions and matrix products against their definitions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.backends.tvm.kernels.builder import Expr, Flat, Kernel, Machine
from graphprune.backends.tvm.kernels.epilogue import Epilogue, Position, no_epilogue
from graphprune.backends.tvm.kernels.problem import PlaneProblem, Planes, channel_distance
from graphprune.backends.tvm.kernels.sparse import TILE_VECTORS, channels_per_block, sparse_function, tile_vectors
from graphprune.backends.tvm.kernels.sparse_rows import HEIGHTS, SparseRows, common_elements, sparse_rows
from graphprune.backends.tvm.kernels.tiling import MOST_VECTORS, tile_positions
from graphprune.backends.tvm.kernels.view import View
from graphprune.layouts import csr
from tests.backends.tvm.kernels.convolution import WINDOWS, convolve, padded, shown
from tests.backends.tvm.kernels.harness import MACHINES, V3, V4, Array, random, run

NO_TAPS = np.zeros(1, np.int32)


def compressed(weight: Array) -> csr.Rows:
    return csr.pack(weight.reshape(weight.shape[0], -1))


def rows_of(weight: Array, taps: Array, distance: int, block: int, height: int = 1) -> SparseRows:
    return sparse_rows(compressed(weight), taps, distance, block, height)


def multiply(
    p: PlaneProblem,
    weight: Array,
    x: Array,
    taps: Array = NO_TAPS,
    cut: tuple[int | None, int] = (None, 1),
    epilogue: Epilogue = no_epilogue,
    extra: tuple[Array, ...] = (),
) -> Array:
    """The kernel's output [image, output, position]; `cut` is input channels of a block and rows summed together."""
    block = cut[0] or channels_per_block(p, int(np.count_nonzero(weight)))
    rows = rows_of(weight, taps, channel_distance(p), block, cut[1])
    operands = [Flat(f"operand{i}", array.size, "float32") for i, array in enumerate(extra)]
    function = sparse_function("main", p, rows, operands, epilogue)
    inputs = [x, *rows.arrays, *extra]
    return run(function, p.machine, inputs, p.images * p.outputs * p.positions).reshape(p.images, p.outputs, -1)


def pruned(outputs: int, inputs: int, taps: int, zeros: float) -> Array:
    weight: Array = random(outputs * inputs * taps, 1).reshape(outputs, inputs, taps)
    weight[np.random.default_rng(2).random(weight.shape) < zeros] = 0
    return weight


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", WINDOWS)
def test_windows(machine: Machine, name: str) -> None:
    view = View.dense(None, "float32", (2, 6, 13, 18))
    flat = random(view.size)
    weight = pruned(9, 6, WINDOWS[name].kernel[0] * WINDOWS[name].kernel[1], 0.7)
    p = padded(machine, view, flat, WINDOWS[name], 9)
    expected = convolve(shown(view, flat), weight, WINDOWS[name])
    for block in (6, 2):
        y = multiply(p.problem, weight, p.values, p.layout.tap_offsets(), (block, 1))
        np.testing.assert_allclose(y.reshape(expected.shape), expected, rtol=1e-5, atol=1e-4)


def in_blocks(outputs: int, inputs: int, taps: int, height: int) -> Array:
    """A weight whose rows share their columns, but for some zeros."""
    weight = pruned(outputs, inputs, taps, 0.02)
    weight[np.repeat(np.random.default_rng(4).random((outputs // height, inputs, taps)) < 0.7, height, axis=0)] = 0
    return weight


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", list(WINDOWS)[:4])
@pytest.mark.parametrize("height", HEIGHTS[1:])
def test_rows_with_common_columns(machine: Machine, name: str, height: int) -> None:
    view = View.dense(None, "float32", (2, 6, 13, 18))
    flat = random(view.size)
    weight = in_blocks(8, 6, WINDOWS[name].kernel[0] * WINDOWS[name].kernel[1], height)
    p = padded(machine, view, flat, WINDOWS[name], 8)
    expected = convolve(shown(view, flat), weight, WINDOWS[name])
    for block in (6, 2):
        y = multiply(p.problem, weight, p.values, p.layout.tap_offsets(), (block, height))
        np.testing.assert_allclose(y.reshape(expected.shape), expected, rtol=1e-5, atol=1e-4)


def test_elements_of_common_columns() -> None:
    weight = np.zeros((4, 5, 1), np.float32)
    weight[:, [1, 3]] = 1
    weight[2, 3] = 0
    assert [common_elements(compressed(weight), height) for height in HEIGHTS] == [7, 8, 8]
    eye = compressed(np.eye(4, dtype=np.float32)[:, :, None])
    assert [common_elements(eye, height) for height in HEIGHTS] == [4, 8, 16]
    assert common_elements(compressed(np.zeros((4, 3, 1), np.float32)), 4) == 0


def product(
    machine: Machine,
    sizes: tuple[int, int, int],
    zeros: float,
    block: int | None,
    vectors: int = TILE_VECTORS,
    *,
    copy: bool,
) -> None:
    inputs, outputs, positions = sizes
    slack = 8 * machine.lanes
    x = random(inputs * positions + slack, 1)
    planes = Planes(x.size, inputs, 0, positions)
    tiling = tile_positions(positions, machine.lanes, vectors)
    p = PlaneProblem(machine, 1, outputs, positions, planes, tiling, copy_tile=copy)
    weight = pruned(outputs, inputs, 1, zeros)
    expected = weight[:, :, 0] @ x[: inputs * positions].reshape(inputs, positions)
    np.testing.assert_allclose(multiply(p, weight, x, cut=(block, 1))[0], expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("zeros", [0.8, 1.0])
@pytest.mark.parametrize("sizes", [(1, 1, 1), (7, 5, 3), (20, 33, 64), (40, 9, 197)])
def test_products(machine: Machine, zeros: float, sizes: tuple[int, int, int]) -> None:
    product(machine, sizes, zeros, None, copy=True)
    product(machine, sizes, zeros, 3, copy=False)
    product(machine, sizes, zeros, 3, MOST_VECTORS, copy=False)


def test_epilogue_is_applied_once_and_knows_its_place() -> None:
    view = View.dense(None, "float32", (2, 6, 13, 18))
    flat, weight = random(view.size), pruned(5, 6, 9, 0.5)
    p = padded(V3, view, flat, WINDOWS["3x3"], 5)
    expected = convolve(shown(view, flat), weight, WINDOWS["3x3"])
    residual = random(expected.size, 2)

    def add(kernel: Kernel, value: Expr, position: Position) -> Expr:
        image, channel, place = position
        return value + kernel["operand0"][(image * 5 + channel) * 234 + place]

    y = multiply(p.problem, weight, p.values, p.layout.tap_offsets(), (2, 1), add, (residual,))
    np.testing.assert_allclose(y.ravel(), expected.ravel() + residual, rtol=1e-5, atol=1e-4)


def test_a_pruned_input_may_be_infinite() -> None:
    weight = pruned(5, 4, 1, 0)
    weight[:, 2] = 0
    x = random(4 * 40 + 64, 1)
    x[80:120] = np.inf
    planes = Planes(x.size, 4, 0, 40)
    p = PlaneProblem(V3, 1, 5, 40, planes, tile_positions(40, 8, 4), copy_tile=True)
    assert np.isfinite(multiply(p, weight, x)).all()


@pytest.mark.parametrize(
    ("positions", "a_channel", "vectors"),
    [
        pytest.param(128, 0.01, 8, id="all positions in one tile"),
        pytest.param(129, 0.01, 4, id="short rows"),
        pytest.param(3136, 0.2, 6, id="rows of a medium length"),
        pytest.param(3136, 0.5, 8, id="long rows"),
    ],
)
def test_wide_tiles_where_rows_stay_long(positions: int, a_channel: float, vectors: int) -> None:
    assert tile_vectors(replace(V4, l1_bytes=48 << 10), positions, a_channel) == vectors


def test_nonzeros_are_ordered_by_block_and_row() -> None:
    weight: Array = np.arange(1, 13, dtype=np.float32).reshape(2, 6, 1)
    weight[0, 1] = weight[1, 4] = 0
    rows = rows_of(weight, NO_TAPS, 10, 3)
    assert rows.blocks == 2
    assert rows.values.tolist() == [1, 3, 7, 8, 9, 4, 5, 6, 10, 12]
    assert (rows.offsets.tolist(), rows.step) == ([0, 20, 0, 10, 20, 0, 10, 20, 0, 20], 30)
    assert rows.starts.tolist() == [0, 2, 5, 8, 10]


@pytest.mark.parametrize(
    ("distance", "taps", "dtype", "unit"),
    [
        pytest.param(13107, [0], "uint16", 1, id="the largest that fit"),
        pytest.param(13108, [0], "uint16", 13108, id="in units of the distance"),
        pytest.param(13108, [0, 1], "int32", 1, id="no unit"),
    ],
)
def test_offsets_take_16_bits_where_they_fit(distance: int, taps: list[int], dtype: str, unit: int) -> None:
    weight, offsets = pruned(3, 6, len(taps), 0), np.array(taps, np.int32)
    rows = rows_of(weight, offsets, distance, 6)
    assert (str(rows.offsets.dtype), rows.unit) == (dtype, unit)
    x = random(6 * distance + 16)
    p = PlaneProblem(V3, 1, 3, 8, Planes(x.size, 6, 0, distance), tile_positions(8, 8, 4))
    places = np.arange(6)[:, None, None] * distance + offsets[:, None] + np.arange(8)
    expected = np.einsum("oct,ctp->op", weight, x[places])
    np.testing.assert_allclose(multiply(p, weight, x, offsets)[0], expected, rtol=1e-5, atol=1e-5)


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 150)),
    st.floats(0, 1),
    st.none() | st.integers(1, 40),
)
@settings(max_examples=15, deadline=None)
def test_any_product(sizes: tuple[int, int, int], zeros: float, block: int | None) -> None:
    product(V3, sizes, zeros, block, copy=True)
