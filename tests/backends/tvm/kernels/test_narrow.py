"""Values in 16 bits: which fit, and that they come back bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from tvm.tirx.script import builder

from graphprune.backends.tvm.kernels.builder import Flat, Kernel, Machine, build_function, store
from graphprune.backends.tvm.kernels.narrow import lowest_zeros, narrowed, widened
from tests.backends.tvm.kernels.harness import MACHINES, Array, run

LARGEST, LEAST = 65504.0, 2.0**-24
"""Of float16; the least is subnormal."""

FITTING: dict[str, tuple[list[float], str]] = {
    "bfloat16": ([1.5, -3e38, 1e-40, 2.0**-133, np.inf, -np.inf, -0.0, 0.0], "uint16"),
    "float16": ([1 + 2**-10, LARGEST, -LEAST, 3 * LEAST, np.inf, -np.inf, -0.0, 0.0], "float16"),
    "a float16 beyond its largest": ([1 + 2**-10, LARGEST + 16], "float32"),
    "a float16 below its least": ([1 + 2**-10, LEAST / 2], "float32"),
    "a bit too many for float16": ([1 + 2**-11, 1 + 2**-10], "float32"),
}


def numbers(case: str) -> Array:
    values: Array = np.array(FITTING[case][0], np.float64).astype(np.float32)
    if case == "bfloat16":
        values.view(np.uint32)[:] &= 0xFFFF0000
    return np.resize(values, 16)


@pytest.mark.parametrize("case", FITTING)
def test_only_what_fits_exactly_is_narrowed(case: str) -> None:
    values = numbers(case)
    assert str(narrowed(values).dtype) == FITTING[case][1]
    if FITTING[case][1] == "float32":
        np.testing.assert_array_equal(narrowed(values), values)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("width", [1, 8, 16])
@pytest.mark.parametrize("case", FITTING)
def test_a_kernel_widens_them_bit_for_bit(case: str, width: int, machine: Machine) -> None:
    values = numbers(case)
    narrow = narrowed(values)

    def body(kernel: Kernel) -> None:
        for at in range(0, 16, width):
            places = at if width == 1 else builder.ramp(at, 1, width)
            store(kernel["y"], places, widened(kernel["x"], at, width))

    function = build_function("main", [Flat("x", 16, str(narrow.dtype)), Flat("y", 16, "float32")], body)
    found = run(function, machine, [narrow], 16)
    np.testing.assert_array_equal(found.view(np.uint32), values.view(np.uint32))


def test_zeros_that_all_numbers_end_with() -> None:
    assert lowest_zeros(np.array([0b1000, 0b110000], np.uint32)) == 3
    assert lowest_zeros(np.array([1 << 31], np.uint32)) == 31
    assert lowest_zeros(np.zeros(0, np.uint32)) == lowest_zeros(np.zeros(2, np.uint32)) == 32
