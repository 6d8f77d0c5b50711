"""The memory that kernels are tested in shows what leaves its buffers."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from graphprune.backends.tvm.kernels.builder import Flat, Kernel, build_function, store
from tests.backends.tvm.kernels.guarded import ALIGNMENT, Guarded
from tests.backends.tvm.kernels.harness import V3, random, run

SIZES = [0, 1, 16, 33, 1024, 5000]


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "bool"])
@pytest.mark.parametrize("size", SIZES)
def test_holds_the_values_at_an_aligned_place(size: int, dtype: str) -> None:
    values = random(size).astype(dtype)
    memory = Guarded(values)
    np.testing.assert_array_equal(memory.values, values)
    assert memory.values.ctypes.data % ALIGNMENT == 0
    memory.assert_unchanged()


def test_a_kernel_that_writes_beside_its_output_fails() -> None:
    def body(kernel: Kernel) -> None:
        for i in range(4):
            store(kernel["y"], i, kernel["x"][i])

    function = build_function("main", [Flat("x", 3, "float32"), Flat("y", 3, "float32")], body)
    with pytest.raises(AssertionError, match="written outside the buffer"):
        run(function, V3, [random(3)], 3)


def test_a_kernel_that_reads_beside_its_input_gives_nan() -> None:
    def body(kernel: Kernel) -> None:
        store(kernel["y"], 0, kernel["x"][0] + kernel["x"][3])
        store(kernel["y"], 1, kernel["x"][0] + kernel["x"][-1])

    function = build_function("main", [Flat("x", 3, "float32"), Flat("y", 2, "float32")], body)
    assert np.isnan(run(function, V3, [random(3)], 2)).all()


def test_a_kernel_that_writes_an_input_fails() -> None:
    function = build_function(
        "main",
        [Flat("x", 3, "float32"), Flat("y", 1, "float32")],
        lambda kernel: store(kernel["x"], 1, kernel["x"][0]),
    )
    with pytest.raises(AssertionError, match="an input was written"):
        run(function, V3, [random(3)], 1)


def test_reading_far_beyond_ends_the_process() -> None:
    code = """
import ctypes, numpy
from tests.backends.tvm.kernels.guarded import Guarded
memory = Guarded(numpy.zeros(16, "f4"))
print(memory.values[15], flush=True)
print(ctypes.string_at(memory.values.ctypes.data + 64, 1))"""
    root = Path(__file__).parents[4]
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert result.stdout == "0.0\n"
    assert result.returncode == -signal.SIGSEGV
