"""Float32 functions against float64 ones, over bit patterns from all of float32."""

from __future__ import annotations

import math as python_math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.backends.tvm.kernels import math
from graphprune.backends.tvm.kernels.builder import Expr, Flat, Kernel, Machine, build_function, lanes, store
from tests.backends.tvm.kernels.harness import MACHINES, V3, Array, Compiled

COUNT = 1 << 16

LARGEST_ULP = {"exp": 1.1, "log": 1.0, "tanh": 5.0, "erf": 6.0, "sigmoid": 3.0, "softplus": 3.0}

REFERENCES: dict[str, Callable[[Array], Array]] = {
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "erf": np.vectorize(python_math.erf, otypes=[np.float64]),
    "sigmoid": lambda x: np.where(x < 0, np.exp(np.minimum(x, 0)), 1) / (1 + np.exp(-np.abs(x))),
    "softplus": lambda x: np.logaddexp(x, 0),
}


@cache
def compiled(name: str, machine: Machine, count: int = COUNT, dtype: str = "float32") -> Compiled:
    function: Callable[[Expr], Expr] = getattr(math, name)

    def body(kernel: Kernel) -> None:
        lanes(count, machine.lanes, lambda i: store(kernel["y"], i, function(kernel["x"][i])))

    return Compiled(build_function("main", [Flat("x", count, dtype), Flat("y", count, dtype)], body), machine)


def all_over_float32() -> Array:
    """Evenly spaced bit patterns: every exponent of both signs, denormals, infinities and NaN."""
    step = (1 << 32) // COUNT
    patterns = np.arange(COUNT, dtype=np.uint64) * step + np.random.default_rng(0).integers(0, step, COUNT).astype("u8")
    x: Array = patterns.astype(np.uint32).view(np.float32)
    return x


def ulp_errors(ours: Array, true: Array) -> Array:
    """Errors in units in the last place of the true values; 0 where both are the same infinity or NaN."""
    rounded = true.astype(np.float32)
    same = (ours == rounded) | (np.isnan(ours) & np.isnan(rounded))
    errors = np.abs(ours.astype(np.float64) - true) / np.spacing(np.abs(rounded)).astype(np.float64)
    return np.where(same, 0, np.where(np.isnan(errors), np.inf, errors))


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", REFERENCES)
def test_error_over_all_of_float32(name: str, machine: Machine) -> None:
    x = all_over_float32()
    with np.errstate(all="ignore"):
        errors = ulp_errors(compiled(name, machine)(x, size=COUNT), REFERENCES[name](x.astype(np.float64)))
    assert errors.max() <= LARGEST_ULP[name], x[errors.argmax()]


@pytest.mark.parametrize("name", REFERENCES)
def test_error_where_functions_bend(name: str) -> None:
    x = np.concatenate([np.linspace(-12, 12, COUNT // 2), np.linspace(-110, 95, COUNT // 2)]).astype(np.float32)
    with np.errstate(all="ignore"):
        errors = ulp_errors(compiled(name, V3)(x, size=COUNT), REFERENCES[name](x.astype(np.float64)))
    assert errors.max() <= LARGEST_ULP[name], x[errors.argmax()]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", [*REFERENCES, "gelu", "gelu_tanh"])
def test_calls_no_scalar_function(name: str, machine: Machine) -> None:
    assert compiled(name, machine).called() == set()


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        *(("exp", x, y) for x, y in [(-np.inf, 0), (np.inf, np.inf), (1000, np.inf), (-1000, 0), (0, 1), (-0.0, 1)]),
        *(("log", x, y) for x, y in [(0, -np.inf), (-0.0, -np.inf), (-1, np.nan), (-np.inf, np.nan), (np.inf, np.inf)]),
        *(("log", x, y) for x, y in [(1, 0), (np.nan, np.nan)]),
        *(("tanh", x, y) for x, y in [(-np.inf, -1), (np.inf, 1), (1e30, 1), (0, 0), (1e-40, 1e-40)]),
        *(("erf", x, y) for x, y in [(-np.inf, -1), (np.inf, 1), (4, 1), (-4, -1), (0, 0)]),
        *(("sigmoid", x, y) for x, y in [(-np.inf, 0), (np.inf, 1), (0, 0.5)]),
        *(("softplus", x, y) for x, y in [(-np.inf, 0), (np.inf, np.inf), (1e30, 1e30)]),
        *((name, np.nan, np.nan) for name in (*REFERENCES, "gelu", "gelu_tanh")),
        *((name, x, x) for name in ("gelu", "gelu_tanh") for x in (0, 100, np.inf)),
        *((name, -100, 0) for name in ("gelu", "gelu_tanh")),
    ],
)
def test_special_values(name: str, x: float, expected: float) -> None:
    with np.errstate(over="ignore"):
        given_, wanted = np.full(COUNT, x, np.float32), np.float32(expected)
    np.testing.assert_array_equal(compiled(name, V3)(given_, size=COUNT)[[0, -1]], [wanted, wanted])


@pytest.mark.parametrize("name", ["tanh", "erf"])
def test_never_leaves_the_unit_interval(name: str) -> None:
    x = np.linspace(-10, 10, COUNT, dtype=np.float32)
    assert np.abs(compiled(name, V3)(x, size=COUNT)).max() == 1


@given(st.floats(width=32, min_value=-100, max_value=100))
@settings(max_examples=50, deadline=None)
def test_odd_functions_are_odd(x: float) -> None:
    both = np.resize(np.array([x, -x], np.float32), COUNT)
    for name in ("tanh", "erf"):
        plus, minus = compiled(name, V3)(both, size=COUNT)[:2]
        assert plus == -minus


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("gelu", lambda x: x * (1 + np.vectorize(python_math.erf)(x / np.sqrt(2))) / 2),
        ("gelu_tanh", lambda x: x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2),
    ],
)
def test_gelu(name: str, reference: Callable[[Array], Array]) -> None:
    x = np.linspace(-8, 8, COUNT, dtype=np.float32)
    true = reference(x.astype(np.float64))
    np.testing.assert_allclose(compiled(name, V3)(x, size=COUNT), true, rtol=5e-7, atol=2e-6)


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "erf", "sigmoid", "softplus"])
def test_float64_keeps_its_precision(name: str) -> None:
    x: Any = np.linspace(0.1, 3, 100)
    y = compiled(name, V3, 100, "float64")(x, size=100, dtype="float64")
    np.testing.assert_allclose(y, REFERENCES[name](x), rtol=1e-13)
