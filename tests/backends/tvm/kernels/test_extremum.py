"""ArgMax and ArgMin against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.backends.tvm.kernels.builder import Machine
from graphprune.backends.tvm.kernels.extremum import Extremum
from graphprune.backends.tvm.kernels.rows import RowProblem, row_function
from graphprune.backends.tvm.kernels.view import View
from tests.backends.tvm.kernels.harness import MACHINES, V3, Array, array_of, run

VIEWS = {
    "row-major": View.dense(None, "float32", (5, 37)),
    "column-major": View.dense(None, "float32", (21, 6), (1, 0)),
    "long row": View.dense(None, "float32", (1, 500)),
    "one element": View.dense(None, "float32", (3, 1)),
    "slice": View.dense(None, "float32", (6, 40)).slice(1, 39, 20, -2),
}


def search(machine: Machine, view: View, recipe: Extremum, flat: Array) -> Array:
    problem = RowProblem(machine, view, (1,), (1, 0), view.shape[0], "int64")
    return run(row_function("main", problem, recipe), machine, [flat], view.shape[0], "int64")


def expected(x: Array, *, largest: bool, last: bool) -> Array:
    signed = x.astype(np.float64) * (1 if largest else -1)
    return np.asarray(x.shape[1] - 1 - signed[:, ::-1].argmax(1) if last else signed.argmax(1))


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("last", [True, False])
def test_equals_numpy_with_many_equal_elements(machine: Machine, name: str, largest: bool, last: bool) -> None:  # noqa: FBT001
    view = VIEWS[name]
    flat = np.random.default_rng(0).integers(-3, 4, view.size).astype(np.float32)
    y = search(machine, view, Extremum(-np.inf if largest else np.inf, largest, last), flat)
    np.testing.assert_array_equal(y, expected(array_of(view, flat), largest=largest, last=last))


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float64"])
def test_other_dtypes(dtype: str) -> None:
    view = View.dense(None, dtype, (4, 300))
    flat = np.random.default_rng(0).integers(0, 200, view.size).astype(dtype)
    np.testing.assert_array_equal(search(V3, view, Extremum(0), flat), array_of(view, flat).argmax(1))


def test_infinities() -> None:
    view = View.dense(None, "float32", (3, 20))
    x = np.full((3, 20), -np.inf, np.float32)
    x[1, 7] = np.inf
    x[2, 9] = -3e38
    np.testing.assert_array_equal(search(V3, view, Extremum(-np.inf), x.ravel()), [0, 7, 9])


def test_a_row_of_nan_still_gives_a_valid_index() -> None:
    view = View.dense(None, "float32", (2, 20))
    assert search(V3, view, Extremum(-np.inf), np.full(40, np.nan, np.float32)).tolist() == [0, 0]
