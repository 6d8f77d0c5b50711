"""Element types: bytes, and that kernels of the plane family take theirs from the problem."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graphprune.backends.tvm.kernels.builder import Expr
from graphprune.backends.tvm.kernels.dense import dense_blocks, dense_function
from graphprune.backends.tvm.kernels.elements import Elements, itemsize
from graphprune.backends.tvm.kernels.problem import PlaneProblem, Planes
from graphprune.backends.tvm.kernels.sparse import channels_per_block, sparse_function
from graphprune.backends.tvm.kernels.sparse_rows import sparse_rows
from graphprune.backends.tvm.kernels.tiling import tile_positions
from graphprune.layouts import csr
from tests.backends.tvm.kernels.harness import V3, run

FLOAT64 = Elements("float64", "float64", "float64")
CHANNELS, OUTPUTS, POSITIONS = 6, 5, 40
PROBLEM = PlaneProblem(
    V3,
    1,
    OUTPUTS,
    POSITIONS,
    Planes(CHANNELS * POSITIONS, CHANNELS, 0, POSITIONS),
    tile_positions(POSITIONS, V3.lanes, 4),
    FLOAT64,
)
TAPS = np.zeros(1, np.int32)
RNG = np.random.default_rng(0)
X = RNG.standard_normal((CHANNELS, POSITIONS))
W = RNG.standard_normal((OUTPUTS, CHANNELS)) * (RNG.random((OUTPUTS, CHANNELS)) < 0.5)


@pytest.mark.parametrize(
    ("dtype", "nbytes"), [("float32", 4), ("float64", 8), ("int8", 1), ("bfloat16", 2), ("bool", 1)]
)
def test_bytes(dtype: str, nbytes: int) -> None:
    assert itemsize(dtype) == nbytes
    assert Elements(dtype, "float32", "float32").input_bytes == nbytes


def sparse() -> tuple[Expr, list[np.ndarray]]:
    rows = sparse_rows(csr.pack(W), TAPS, POSITIONS, CHANNELS)
    return sparse_function("k", PROBLEM, rows, output_dtype="float64"), rows.arrays


def dense() -> tuple[Expr, list[np.ndarray]]:
    blocks, values = dense_blocks(W[:, :, None], 1, 4, 2)
    offsets = (np.arange(CHANNELS) * POSITIONS).astype(np.int32)
    return dense_function("k", PROBLEM, blocks, POSITIONS, output_dtype="float64"), [values.reshape(-1), offsets]


@pytest.mark.parametrize("make", [sparse, dense])
def test_sums_are_of_the_type_that_the_problem_says(make: type) -> None:
    """In float64 the kernels are exact to float64, which sums or buffers of float32 would not be."""
    function, arrays = make()
    result = run(function, V3, [X.reshape(-1), *arrays], OUTPUTS * POSITIONS, "float64")
    np.testing.assert_allclose(result.reshape(OUTPUTS, POSITIONS), W @ X, rtol=1e-13, atol=1e-14)


def test_narrow_inputs_let_more_channels_fit_a_block() -> None:
    wide = replace(PROBLEM, planes=Planes(1 << 20, 1 << 14, 0, POSITIONS), elements=FLOAT64)
    narrow = replace(wide, elements=replace(FLOAT64, inputs="int8"))
    assert channels_per_block(narrow, 1 << 16) > 4 * channels_per_block(wide, 1 << 16)
