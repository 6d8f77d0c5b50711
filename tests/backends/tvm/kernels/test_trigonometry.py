"""Sine and cosine against float64 ones, over bit patterns from all of float32 and beside their zeros."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphprune.backends.tvm.kernels import trigonometry
from graphprune.backends.tvm.kernels.builder import Expr, Flat, Kernel, Machine, build_function, lanes, store
from tests.backends.tvm.kernels.harness import MACHINES, V3, Array, Compiled
from tests.backends.tvm.kernels.test_math import COUNT, all_over_float32, ulp_errors

REFERENCES: dict[str, Callable[[Array], Array]] = {"sin": np.sin, "cos": np.cos}


def compiled(name: str, machine: Machine, dtype: str = "float32") -> Compiled:
    function: Callable[[Expr], Expr] = getattr(trigonometry, name)

    def body(kernel: Kernel) -> None:
        lanes(COUNT, machine.lanes, lambda i: store(kernel["y"], i, function(kernel["x"][i])))

    return Compiled(build_function("main", [Flat("x", COUNT, dtype), Flat("y", COUNT, dtype)], body), machine)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", REFERENCES)
def test_errors_are_below_two_units_in_the_last_place(name: str, machine: Machine) -> None:
    rng, quarters = np.random.default_rng(0), np.arange(COUNT) * (np.pi / 2)
    function = compiled(name, machine)
    for x in (all_over_float32(), rng.standard_normal(COUNT) * 10, rng.standard_normal(COUNT) * 2.0**-9, quarters):
        angles = x.astype(np.float32)
        with np.errstate(invalid="ignore"):
            true = REFERENCES[name](angles.astype(np.float64))
        assert ulp_errors(function(angles, size=COUNT), true).max() < 2


def test_the_sign_of_zero_stays_and_no_angle_is_nan() -> None:
    x = np.resize(np.array([-0.0, 0.0, np.inf, -np.inf, np.nan], np.float32), COUNT)
    y = compiled("sin", V3)(x, size=COUNT)
    np.testing.assert_array_equal(y[:5], [0, 0, np.nan, np.nan, np.nan])
    assert list(np.signbit(y[:2])) == [True, False]


@pytest.mark.parametrize("name", REFERENCES)
def test_nothing_of_the_c_library_is_called(name: str) -> None:
    assert not compiled(name, V3).called()
