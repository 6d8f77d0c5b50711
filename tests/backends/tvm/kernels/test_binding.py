"""Bound variables: computed once, rounded once, and no burden on the compiler."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Flat,
    Kernel,
    Machine,
    bind,
    build_function,
    constant,
    lanes,
    loop,
    store,
)
from tests.backends.tvm.kernels.harness import MACHINES, V3, Array, random, run

COUNT = 45
"""Whole vectors, a shorter one, and (for 44 + 1) a single element."""


def elementwise(machine: Machine, function: Callable[[Expr], Expr], x: Array, *, parallel: bool = False) -> Array:
    def body(kernel: Kernel) -> None:
        with loop(3, parallel=parallel) as row:
            lanes(
                COUNT,
                machine.lanes,
                lambda i: store(kernel["y"], row * COUNT + i, function(kernel["x"][row * COUNT + i])),
            )

    arguments = [Flat("x", x.size, str(x.dtype)), Flat("y", x.size, str(x.dtype))]
    return run(build_function("main", arguments, body), machine, [x], x.size, str(x.dtype))


def rounded_to_eighths(x: Expr) -> Expr:
    large = constant(1.5 * 2.0**20, "float32")
    return bind(x + large) - large


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("machine", MACHINES)
def test_a_sum_is_rounded_before_it_is_used(machine: Machine, parallel: bool) -> None:  # noqa: FBT001
    x = random(3 * COUNT)
    y = elementwise(machine, rounded_to_eighths, x, parallel=parallel)
    np.testing.assert_array_equal(y, np.round(x * 8) / 8)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_dtypes(dtype: str) -> None:
    x = random(3 * COUNT).astype(dtype)
    y = elementwise(V3, lambda e: bind(e * constant(2, dtype)) + constant(1, dtype), x)
    np.testing.assert_array_equal(y, x * np.array(2, dtype) + np.array(1, dtype))


def test_a_long_chain_compiles_in_no_time() -> None:
    """Each variable is used twice: put in place of its uses, the last one would take 2^60 terms."""

    def chain(x: Expr) -> Expr:
        for _ in range(60):
            x = bind(x * x + constant(0.25, "float32")) - x * constant(0.5, "float32")
        return x

    x = random(3 * COUNT) / 4
    expected = x
    for _ in range(60):
        expected = expected * expected + np.float32(0.25) - expected * np.float32(0.5)
    np.testing.assert_allclose(elementwise(V3, lambda e: chain(bind(e)), x), expected, rtol=1e-4)


def test_two_values_are_alive_at_once() -> None:
    def both(x: Expr) -> Expr:
        double = bind(x + x)
        square = bind(x * x)
        return bind(double - square) * double + square

    x = random(3 * COUNT)
    np.testing.assert_allclose(elementwise(V3, both, x), (2 * x - x * x) * 2 * x + x * x, rtol=1e-5, atol=1e-6)
