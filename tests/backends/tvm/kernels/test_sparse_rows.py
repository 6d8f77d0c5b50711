"""Sparse weights in fewer bytes: how they are stored, and that kernels compute the same bits of them."""

from __future__ import annotations

from collections.abc import Callable

import ml_dtypes
import numpy as np
import pytest

from graphprune.backends.tvm.kernels.builder import Machine
from graphprune.backends.tvm.kernels.problem import PlaneProblem, Planes, channel_distance
from graphprune.backends.tvm.kernels.sparse import sparse_function
from graphprune.backends.tvm.kernels.sparse_rows import HEIGHTS, SparseRows, sparse_rows
from graphprune.backends.tvm.kernels.tiling import tile_positions
from graphprune.backends.tvm.kernels.vector import VectorProblem, sparse_vector_function
from graphprune.layouts import csr
from tests.backends.tvm.kernels.harness import MACHINES, V4, Array, random, run

Form = Callable[[SparseRows], SparseRows]

NO_TAPS = np.zeros(1, np.int32)
SUBNORMAL = 3 * 2.0**-24
"""Of float16."""

KINDS = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float32": np.float32}


def weight_of(kind: str, outputs: int, inputs: int, height: int = 1) -> Array:
    """Numbers of that type as float32, subnormal and infinite ones among them, in rows with common columns."""
    weight: Array = random(outputs * inputs, 1).reshape(outputs, inputs).astype(KINDS[kind]).astype(np.float32)
    weight[0, :3], weight[-1, 1] = (SUBNORMAL, -SUBNORMAL, np.inf), -np.inf
    kept = np.random.default_rng(2).random((outputs // height, inputs)) < 0.5
    kept[:, :3] = True
    weight *= kept.repeat(height, axis=0)
    return np.nan_to_num(weight, nan=0.0, posinf=np.inf, neginf=-np.inf)


def rows_of(weight: Array, block: int, height: int = 1, distance: int = 1) -> SparseRows:
    return sparse_rows(csr.pack(weight), NO_TAPS, distance, block, height)


def stored(rows: SparseRows) -> tuple[int, int]:
    """Bytes of an element of `values`, and of the offset with it."""
    return rows.values.itemsize, 0 if rows.place_bits else rows.offsets.itemsize


@pytest.mark.parametrize(
    ("kind", "bits", "distance", "unit"),
    [("float16", 13, 64, 1), ("float16", 13, 640, 640), ("bfloat16", 16, 640, 1), ("bfloat16", 16, 6400, 6400)],
)
def test_a_word_holds_a_value_and_its_offset(kind: str, bits: int, distance: int, unit: int) -> None:
    rows = rows_of(weight_of(kind, 6, 50), 20, distance=distance)
    words = rows.in_words()
    assert (words.place_bits, words.unit, stored(words)) == (bits, unit, (4, 0))
    numbers, places = words.values.view(np.uint32), np.uint32((1 << bits) - 1)
    np.testing.assert_array_equal((numbers & places) * unit, rows.offsets.astype(np.int64) * rows.unit)
    np.testing.assert_array_equal((numbers & ~places).view(np.float32), rows.values)


@pytest.mark.parametrize(
    ("kind", "most", "distance"),
    [
        pytest.param("float32", 50, 64, id="values without bits to spare"),
        pytest.param("float16", (1 << 13) + 1, 1, id="offsets of more than 13 bits"),
        pytest.param("bfloat16", (1 << 16) + 1, 1, id="offsets of more than 16 bits"),
    ],
)
def test_what_does_not_fit_stays_apart(kind: str, most: int, distance: int) -> None:
    weight = np.zeros((2, most), np.float32)
    weight[:, :50], weight[1, -1] = weight_of(kind, 2, 50), 1.5
    rows = rows_of(weight, most, distance=distance)
    assert rows.in_words() is rows
    assert rows.in_words().values.dtype == np.float32
    fitting = np.delete(weight, np.s_[50:-1], axis=1)
    assert (rows_of(fitting, 51, distance=distance).in_words().place_bits > 0) == (kind != "float32")


def test_offsets_count_from_their_block() -> None:
    """So those of float16 fit in words whatever the number of channels is."""
    weight = weight_of("float16", 2, 1 << 14)
    assert rows_of(weight, 1 << 13).in_words().place_bits == 13
    assert rows_of(weight, 1 << 14).in_words().place_bits == 0


def planes(machine: Machine, rows: SparseRows, x: Array, positions: int) -> Array:
    inputs, outputs = len(x), rows.rows * rows.height
    p = plane_problem(machine, inputs, outputs, positions)
    flat = np.concatenate([x.reshape(-1), np.zeros(8 * machine.lanes, np.float32)])
    return run(sparse_function("main", p, rows), machine, [flat, *rows.arrays], outputs * positions)


def plane_problem(machine: Machine, inputs: int, outputs: int, positions: int) -> PlaneProblem:
    slack, tiling = 8 * machine.lanes, tile_positions(positions, machine.lanes, 4)
    return PlaneProblem(
        machine, 1, outputs, positions, Planes(inputs * positions + slack, inputs, 0, positions), tiling, copy_tile=True
    )


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("height", HEIGHTS)
@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_planes_of_fewer_bytes_are_the_same_bits(kind: str, height: int, machine: Machine) -> None:
    inputs, outputs, positions = 45, 16, 70
    rows = rows_of(
        weight_of(kind, outputs, inputs, height),
        20,
        height,
        channel_distance(plane_problem(machine, inputs, outputs, positions)),
    )
    small = rows.in_words() if height == 1 else rows.narrowed()
    assert small.nbytes < 0.8 * rows.nbytes
    x = random(inputs * positions).reshape(inputs, positions)
    found, expected = (planes(machine, each, x, positions) for each in (small, rows))
    assert np.isnan(expected).any() or np.isinf(expected).any()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("positions", "order"), [(1, "rows"), (3, "rows"), (3, "planes"), (7, "rows")])
@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_few_positions_of_fewer_bytes_are_the_same_bits(
    kind: str,
    positions: int,
    order: str,
    machine: Machine,
) -> None:
    inputs, outputs = 61, 9
    strides = (1, inputs) if order == "rows" else (positions, 1)
    p = VectorProblem(machine, Planes(3 + inputs * positions, inputs, 0, *strides, offset=3), outputs, positions)
    rows = rows_of(weight_of(kind, outputs, inputs), inputs, distance=strides[0])
    assert stored(rows.narrowed()) == (2, 2)

    def product(each: SparseRows) -> Array:
        function = sparse_vector_function("main", p, each)
        return run(function, machine, [random(p.planes.size), *each.arrays], outputs * positions)

    np.testing.assert_array_equal(product(rows.narrowed()), product(rows))


def test_a_weight_of_nothing_but_zeros() -> None:
    rows = rows_of(np.zeros((4, 8), np.float32), 8)
    for each in (rows.in_words(), rows.narrowed()):
        assert planes(V4, each, np.full((8, 20), np.inf, np.float32), 20).tolist() == [0] * 80
