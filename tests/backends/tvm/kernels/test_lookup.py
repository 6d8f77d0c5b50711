"""Elements from anywhere, by one instruction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tvm.tirx.script import builder

from graphprune.backends.tvm.kernels.builder import Expr, Flat, Kernel, build_function, store
from graphprune.backends.tvm.kernels.lookup import LOOKUP, has_lookup, looked_up
from graphprune.backends.tvm.kernels.text import CHECKS_VARIABLE
from graphprune.errors import BackendError
from tests.backends.tvm.kernels.harness import V3, V4, Array, random, run

SIZE = 40


def _function() -> Expr:
    def body(kernel: Kernel) -> None:
        lanes = builder.ramp(0, 1, LOOKUP)
        store(kernel["y"], lanes, looked_up(kernel["x"], kernel["places"][lanes]))

    arguments = [Flat("x", SIZE, "float32"), Flat("places", LOOKUP, "int32"), Flat("y", LOOKUP, "float32")]
    return build_function("main", arguments, body)


def found(places: Array) -> Array:
    return run(_function(), V4, [random(SIZE), places.astype(np.int32)], LOOKUP)


def test_any_places() -> None:
    places = np.array([39, 0, 17, 17, 3, 38, 1, 20])
    np.testing.assert_array_equal(found(places), random(SIZE)[places])


@pytest.mark.parametrize("place", [-1, SIZE])
def test_checks_of_bounds_see_every_lane(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHECKS_VARIABLE, "1")
    with pytest.raises(BackendError, match="reads outside the 40 elements of x"):
        found(np.array([0, 1, 2, 3, 4, place, 6, 7]))


def test_machines_that_are_worth_it() -> None:
    assert has_lookup(V4)
    assert not has_lookup(V3)
    assert not has_lookup(replace(V4, features=frozenset()))
