"""What TVM would simplify as if numbers were real, and must not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tvm import tirx

from graphprune.backends.tvm.kernels.builder import Expr, Flat, Kernel, build_function, lanes, store
from graphprune.backends.tvm.kernels.opaque import literal_value, opaque, opaque_literal, rounded
from tests.backends.tvm.kernels.harness import V3, Array, random, run

Function = Callable[[Any, Callable[[float], Any]], Any]
"""Of an element, or of an array of NumPy, and of what makes a literal of the same type."""

COUNT = 2 * V3.lanes + 3
"""Whole vectors and a shorter one."""

FLOATS = np.array([0.5, 1.5, -0.7, 1e30, -3e38, 1e-45, np.inf, -np.inf, np.nan, 0, -0.0], np.float32)

OF_FLOATS: dict[str, Function] = {
    "a sum less one of its terms": lambda x, c: (x + c(12582912)) - c(12582912),
    "itself less itself": lambda x, _c: x - x,
    "a product with zero": lambda x, c: x * c(0),
    "a sum with zero": lambda x, c: c(1) / (x + c(0)),
    "a quotient by zero": lambda x, c: x / c(0),
    "zero over itself": lambda x, c: c(0) / x,
    "a product divided again": lambda x, c: x * c(3) / c(3),
}
COMPARISONS: dict[str, Function] = {
    "equal to itself": lambda x, _c: x == x,  # noqa: PLR0124
    "unequal to itself": lambda x, _c: x != x,  # noqa: PLR0124
    "smaller than its successor": lambda x, c: x < x + c(1),
    "larger than what is one less": lambda x, c: x > x - c(1),
    "as large as its double is": lambda x, c: x <= x * c(2),
}


def computed(function: Callable[[Expr], Expr], x: Array, dtype: str) -> Array:
    """The function of each element of `x`, by a kernel."""

    def body(kernel: Kernel) -> None:
        lanes(len(x), V3.lanes, lambda i: store(kernel["y"], i, opaque(function(kernel["x0"][i]))))

    arguments = [Flat("x0", len(x), str(x.dtype)), Flat("y", len(x), dtype)]
    return run(build_function("main", arguments, body), V3, [x], len(x), dtype)


def assert_as_numpy(function: Function, values: Array) -> None:
    x = np.resize(values, COUNT)
    with np.errstate(all="ignore"):
        expected = function(x, x.dtype.type)
    dtype = str(x.dtype)
    y = computed(lambda e: function(e, lambda value: opaque_literal(value, dtype)), x, str(expected.dtype))
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("name", [*OF_FLOATS, *COMPARISONS])
def test_floats(name: str) -> None:
    assert_as_numpy({**OF_FLOATS, **COMPARISONS}[name], FLOATS)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])
@pytest.mark.parametrize("name", COMPARISONS)
def test_integers_wrap(name: str, dtype: str) -> None:
    info = np.iinfo(dtype)
    assert_as_numpy(COMPARISONS[name], np.array([0, 1, 5, info.min, info.max, info.max - 1, info.max // 2 + 1], dtype))


def test_what_is_not_larger_may_be_nan() -> None:
    x = np.resize(FLOATS, COUNT)
    np.testing.assert_array_equal(computed(lambda e: tirx.Not(e > 0.0), x, "bool"), ~(x > 0))


def test_booleans_are_compared() -> None:
    x = np.resize([True, False], COUNT)
    np.testing.assert_array_equal(computed(lambda e: tirx.EQ(e, tirx.Not(e)), x, "bool"), np.zeros(COUNT, np.bool_))


def test_a_product_is_rounded_before_it_is_added() -> None:
    """In one operation with the sum, it would be rounded once: half of these elements differ then."""
    x = random(COUNT)
    y = computed(lambda e: rounded(opaque(e * e)) + e, x, "float32")
    np.testing.assert_array_equal(y, x * x + x)


def test_a_literal_is_known() -> None:
    assert literal_value(opaque_literal(0.5, "float32")) == 0.5
    assert literal_value(opaque(opaque_literal(1, "float32") + opaque_literal(1, "float32"))) is None
