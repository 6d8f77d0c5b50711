"""Copied runs: nothing but the run is read, and what is padded is filled up to whole half vectors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.backends.tvm.kernels.builder import Flat, Kernel, Machine, build_function, constant
from graphprune.backends.tvm.kernels.runs import Run, copy_padded_run, copy_run
from graphprune.backends.tvm.kernels.tiling import in_half_vectors
from tests.backends.tvm.kernels.harness import MACHINES, UNTOUCHED, V3, Array, random, run

BEFORE = 3
"""Elements before the run, in both buffers."""


def copied(machine: Machine, count: int, step: int, dtype: str = "float32") -> Array:
    x = random(BEFORE + (count - 1) * step + 1).astype(dtype)

    def body(kernel: Kernel) -> None:
        copy_run(count, machine.lanes, Run(kernel["x"], BEFORE, step), Run(kernel["y"], BEFORE))

    function = build_function("main", [Flat("x", x.size, dtype), Flat("y", BEFORE + count, dtype)], body)
    y = run(function, machine, [x], BEFORE + count, dtype)
    np.testing.assert_array_equal(y[BEFORE:], x[BEFORE::step])
    return y


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 7, 8, 16, 33])
def test_copied(machine: Machine, count: int, step: int) -> None:
    assert (copied(machine, count, step)[:BEFORE] == UNTOUCHED).all()


@given(st.integers(1, 80), st.sampled_from([1, 2]), st.sampled_from(["float32", "float64", "int32"]))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_padded(count: int, step: int, dtype: str) -> None:
    wide = in_half_vectors(count, V3.lanes)
    x = (100 * random(BEFORE + wide * step)).astype(dtype)

    def body(kernel: Kernel) -> None:
        runs = Run(kernel["x"], BEFORE, step), Run(kernel["y"], BEFORE)
        copy_padded_run(count, V3.lanes, *runs, constant(5, dtype))

    function = build_function("main", [Flat("x", x.size, dtype), Flat("y", BEFORE + wide + 1, dtype)], body)
    y = run(function, V3, [x], BEFORE + wide + 1, dtype)
    np.testing.assert_array_equal(y[BEFORE : BEFORE + count], x[BEFORE::step][:count])
    assert (y[BEFORE + count : BEFORE + wide] == 5).all()
    assert y[-1] == UNTOUCHED
