"""N:M weights times rows, against NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.backends.tvm.kernels.builder import Expr, Flat, Kernel, Machine
from graphprune.backends.tvm.kernels.epilogue import Epilogue, Position, no_epilogue
from graphprune.backends.tvm.kernels.nm import RowsProblem, nm_blocks, nm_function, permutations
from tests.backends.tvm.kernels.harness import MACHINES, V3, V4, Array, random, run

GROUPS = [(machine, of) for machine in (V4, V3) for of in permutations(machine)]
SIZES = [(1, 16, 16), (1, 40, 130), (2, 32, 7), (3, 17, 33), (5, 64, 64), (9, 23, 100), (12, 48, 1)]


def sparse(outputs: int, inputs: int, keep: int, of: int, seed: int = 0) -> tuple[Array, Array, Array]:
    """A dense weight that follows the pattern, its values and its places, [outputs, slots]."""
    rng = np.random.default_rng(seed)
    dense = np.zeros((outputs, inputs), np.float32)
    values, places = [], []
    for start in range(0, inputs, of):
        length = min(of, inputs - start)
        chosen = np.sort(rng.permuted(np.tile(np.arange(length), (outputs, 1)), axis=1)[:, :keep], axis=1)
        numbers = rng.standard_normal(chosen.shape).astype(np.float32)
        np.put_along_axis(dense[:, start : start + length], chosen, numbers, 1)
        values.append(numbers)
        places.append(chosen)
    return dense, np.concatenate(values, 1), np.concatenate(places, 1).astype(np.uint8)


def product(
    machine: Machine,
    x: Array,
    values: Array,
    places: Array,
    pattern: tuple[int, int],
    *,
    epilogue: Epilogue,
    extra: Array,
) -> Array:
    rows, inputs = x.shape
    problem = RowsProblem(machine, x.size + 3, rows, inputs, len(values), inputs, offset=3)
    blocks = nm_blocks(values, places, *pattern, machine.lanes, problem.tile_vectors)
    operands = [Flat("operand", extra.size, "float32")] if extra.size else []
    function = nm_function("main", problem, blocks, operands, epilogue)
    shifts = (2 * np.arange(machine.lanes)).astype(np.int32)
    shifted = np.concatenate([np.full(3, np.nan, np.float32), x.reshape(-1)])
    read = [shifted, blocks.values.reshape(-1), blocks.places.reshape(-1), shifts, *([extra] if extra.size else [])]
    return run(function, machine, read, rows * len(values)).reshape(rows, len(values))


NOTHING = np.zeros(0, np.float32)


@pytest.mark.parametrize(("machine", "of"), GROUPS)
@pytest.mark.parametrize(("rows", "inputs", "outputs"), SIZES)
def test_products(machine: Machine, of: int, rows: int, inputs: int, outputs: int) -> None:
    for keep in {1, of // 2}:
        dense, values, places = sparse(outputs, inputs, keep, of)
        x = random(rows * inputs, 1).reshape(rows, inputs)
        y = product(machine, x, values, places, (keep, of), epilogue=no_epilogue, extra=NOTHING)
        np.testing.assert_allclose(y, x @ dense.T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("machine", MACHINES)
def test_an_epilogue_is_told_the_place(machine: Machine) -> None:
    dense, values, places = sparse(37, 24, 2, 4)
    x, bias = random(5 * 24).reshape(5, 24), random(37, 2)

    def epilogue(kernel: Kernel, value: Expr, place: Position) -> Expr:
        _, row, output = place
        return value + kernel["operand"][output] * (row + 1).astype("float32")

    y = product(machine, x, values, places, (2, 4), epilogue=epilogue, extra=bias)
    np.testing.assert_allclose(y, x @ dense.T + bias * np.arange(1, 6)[:, None], rtol=1e-5, atol=1e-5)


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(GROUPS),
    st.integers(1, 20),
    st.integers(1, 70),
    st.integers(1, 90),
    st.integers(1, 15),
    st.integers(0, 9),
)
def test_any_size(group: tuple[Machine, int], rows: int, inputs: int, outputs: int, keep: int, seed: int) -> None:
    machine, of = group
    keep = min(keep, of - 1)
    dense, values, places = sparse(outputs, inputs, keep, of, seed)
    x = random(rows * inputs, seed).reshape(rows, inputs)
    y = product(machine, x, values, places, (keep, of), epilogue=no_epilogue, extra=NOTHING)
    np.testing.assert_allclose(y, x @ dense.T, rtol=1e-5, atol=1e-5)


def test_what_is_not_finite_stays_in_its_row_and_group() -> None:
    """An infinite input reaches the outputs that keep it, and NaN those of its row."""
    dense, values, places = sparse(32, 16, 1, 4)
    x = random(3 * 16).reshape(3, 16)
    x[1, 5] = np.inf
    y = product(V4, x, values, places, (1, 4), epilogue=no_epilogue, extra=NOTHING)
    expected = np.where(dense[:, 5] != 0, np.copysign(np.inf, dense[:, 5]), x.clip(max=9)[1] @ dense.T)
    np.testing.assert_allclose(y[1], expected, rtol=1e-5)
    assert np.isfinite(y[[0, 2]]).all()


HALVES = {
    "bfloat16": lambda a: (a.view(np.uint32) & 0xFFFF0000).view(np.float32),
    "float16": lambda a: a.astype(np.float16).astype(np.float32),
}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("of", [4, 8])
@pytest.mark.parametrize(("name", "rounded"), HALVES.items(), ids=HALVES)
def test_numbers_that_fit_half_as_many_bytes(
    machine: Machine, of: int, name: str, rounded: Callable[[Array], Array]
) -> None:
    """They are stored so, and multiplied as the numbers that they are."""
    _, values, places = sparse(37, 24, 2, of)
    special = [0.0, -0.0, 2.0**-24, -(2.0**-14), 65504.0] if name == "float16" else [1e-40, 3e38, -0.0, 2.0**-126]
    values[0, : len(special)] = special
    values = np.ascontiguousarray(rounded(values))
    blocks = nm_blocks(values, places, 2, of, machine.lanes, 2)
    assert blocks.values.dtype == {"bfloat16": np.uint16, "float16": np.float16}[name]
    dense = np.zeros((37, 24), np.float32)
    columns = np.arange(values.shape[1]) // 2 * of + places
    np.put_along_axis(dense, columns.astype(np.int64), values, 1)
    x = random(3 * 24).reshape(3, 24)
    y = product(machine, x, values, places, (2, of), epilogue=no_epilogue, extra=NOTHING)
    np.testing.assert_allclose(y, x @ dense.T, rtol=1e-5, atol=1e-5)


def test_other_numbers_keep_their_bytes() -> None:
    _, values, places = sparse(16, 16, 1, 4)
    assert nm_blocks(values, places, 1, 4, 16, 1).values.dtype == np.float32
    overflowing = np.full_like(values, 1e6 + 1)  # fits neither
    assert nm_blocks(overflowing, places, 1, 4, 16, 1).values.dtype == np.float32
