"""Arc functions against those of NumPy in extended precision."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphprune.backends.tvm.kernels import arcs
from graphprune.backends.tvm.kernels.builder import Expr, Flat, Kernel, Machine, build_function, lanes, store
from graphprune.backends.tvm.kernels.elements import lanes_of
from tests.backends.tvm.kernels.harness import MACHINES, Array, Compiled
from tests.backends.tvm.kernels.test_math import COUNT, all_over_float32

REFERENCES: dict[str, tuple[Callable[[Array], Array], float]] = {
    "atan": (np.arctan, 3),
    "asin": (np.arcsin, 4),
    "acos": (np.arccos, 4),
}


def compiled(name: str, machine: Machine, dtype: str) -> Compiled:
    function: Callable[[Expr], Expr] = getattr(arcs, name)

    def body(kernel: Kernel) -> None:
        lanes(COUNT, lanes_of(machine, dtype), lambda i: store(kernel["y"], i, function(kernel["x"][i])))

    return Compiled(build_function("main", [Flat("x", COUNT, dtype), Flat("y", COUNT, dtype)], body), machine)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", REFERENCES)
def test_errors_are_below_what_is_said(name: str, dtype: str, machine: Machine) -> None:
    rng, (reference, most) = np.random.default_rng(0), REFERENCES[name]
    function, ends = compiled(name, machine, dtype), 10.0 ** rng.uniform(-7, 0, COUNT)
    special = np.resize([0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 1e-40], COUNT)
    for x in (all_over_float32(), rng.uniform(-1, 1, COUNT), 1 - ends, ends - 1, ends, special):
        given = x.astype(dtype)
        y = function(given, size=COUNT, dtype=dtype)
        with np.errstate(all="ignore"):
            true = reference(given.astype(np.longdouble))
            rounded = true.astype(dtype)
            errors = np.abs(y - true) / np.spacing(np.abs(rounded))
        same = (y == rounded) | (np.isnan(y) & np.isnan(rounded))
        assert np.where(same, 0, errors).max() < most
        assert (np.signbit(y) == np.signbit(true))[~np.isnan(true)].all()


def test_nothing_of_the_c_library_is_called() -> None:
    for name in REFERENCES:
        assert not compiled(name, MACHINES[1].values[0], "float64").called()  # type: ignore[arg-type]
