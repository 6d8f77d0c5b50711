"""Rows chosen by indices, against NumPy's own indexing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.backends.tvm.kernels.builder import Machine
from graphprune.backends.tvm.kernels.gather import gather_function, gather_nd_function
from graphprune.backends.tvm.kernels.view import View
from graphprune.errors import BackendError
from tests.backends.tvm.kernels.harness import MACHINES, UNTOUCHED, V3, Array, Compiled, array_of, random, run


def gather(machine: Machine, x: View, indices: Array, dtype: str = "int64") -> None:
    """The kernel takes rows of a view [outer, rows, inner]."""
    flat = random(x.size)
    chosen = View.dense(None, dtype, indices.shape)
    y = run(gather_function(machine, x, chosen, "n"), machine, [flat, indices.astype(dtype)], _size(x, indices))
    expected = array_of(x, flat)[:, indices]
    np.testing.assert_array_equal(y.reshape(expected.shape), expected)


def _size(x: View, indices: Array) -> int:
    return x.shape[0] * indices.size * x.shape[2]


INDICES = np.array([0, 4, -1, -5, 2, 2])


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("inner", [1, 7, 8, 17, 33])
def test_rows_around_vector_borders(machine: Machine, inner: int) -> None:
    gather(machine, View.dense(None, "float32", (1, 5, inner)), INDICES)
    gather(replace(machine, threads=2), View.dense(None, "float32", (3, 5, inner)), INDICES, "int32")


@pytest.mark.parametrize("count", [0, 1])
def test_few_rows(count: int) -> None:
    gather(V3, View.dense(None, "float32", (2, 5, 9)), INDICES[1 : 1 + count])


def test_views_of_any_layout() -> None:
    dense = View.dense(None, "float32", (3, 5, 18), (2, 0, 1))
    gather(V3, dense, INDICES)
    gather(V3, View.dense(None, "float32", (3, 7, 40)).slice(2, 39, 18, -2).slice(1, 6, 5, -1), INDICES)
    gather(V3, View.dense(None, "float32", (5, 1)).broadcast((3, 5, 18)), INDICES)


def test_indices_through_a_view() -> None:
    x, flat = View.dense(None, "float32", (2, 5, 9)), random(90)
    stored = np.array([9, 3, 9, 0, 9, -2], np.int64)
    indices = View.dense(None, "int64", (6,)).slice(0, 5, 3, -2)
    y = run(gather_function(V3, x, indices, "n"), V3, [flat, stored], 54)
    np.testing.assert_array_equal(y.reshape(2, 3, 9), flat.reshape(2, 5, 9)[:, [-2, 0, 3]])


@pytest.mark.parametrize("bad", [5, -6, 2**31, 2**32 + 1, -(2**63), 2**63 - 1])
def test_an_index_outside_writes_nothing_and_stops(bad: int) -> None:
    x = View.dense(None, "float32", (1, 5, 9))
    compiled = Compiled(gather_function(V3, x, View.dense(None, "int64", (2,)), "table"), V3)
    with pytest.raises(BackendError, match=r"node 'table' \(Gather\): index outside the 5 rows"):
        compiled(random(45), np.array([bad, 0]), size=18)
    assert UNTOUCHED not in compiled(random(45), np.array([4, 0]), size=18)


def gather_nd(machine: Machine, x: View, indices: Array) -> None:
    """The kernel takes vectors of a view [n1, ..., nk, inner]."""
    flat = random(x.size)
    chosen = View.dense(None, "int64", indices.shape)
    function = gather_nd_function(machine, x, chosen, "n")
    y = run(function, machine, [flat, indices], len(indices) * x.shape[-1])
    expected = array_of(x, flat)[tuple(indices.T)]
    np.testing.assert_array_equal(y.reshape(expected.shape), expected)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("inner", [1, 8, 17])
def test_vectors_at_several_indices(machine: Machine, inner: int) -> None:
    indices = np.array([[0, 0], [2, 3], [-1, -4], [-3, 3]])
    gather_nd(machine, View.dense(None, "float32", (3, 4, inner)), indices)
    gather_nd(machine, View.dense(None, "float32", (3, 4, inner), (2, 1, 0)), indices)
    gather_nd(machine, View.dense(None, "float32", (4, inner)), indices[:, 1:])
    gather_nd(machine, View.dense(None, "float32", (3, 4, inner)), indices[:0])


@pytest.mark.parametrize(("bad", "axis"), [((3, 0), 0), ((0, 4), 1), ((-4, 0), 0), ((0, -5), 1), ((2**32, 0), 0)])
def test_an_index_outside_its_axis_names_it(bad: tuple[int, int], axis: int) -> None:
    x = View.dense(None, "float32", (3, 4, 5))
    compiled = Compiled(gather_nd_function(V3, x, View.dense(None, "int64", (1, 2)), "corner"), V3)
    extent = x.shape[axis]
    message = rf"node 'corner' \(GatherND\): index outside the {extent} elements of axis {axis}"
    with pytest.raises(BackendError, match=message):
        compiled(random(60), np.array(bad), size=5)


@given(st.tuples(*[st.integers(1, 6)] * 2, st.integers(1, 20)), st.permutations(range(3)), st.lists(st.integers(0, 99)))
@settings(max_examples=15, deadline=None)
def test_any_shape_and_order(shape: tuple[int, ...], order: list[int], chosen: list[int]) -> None:
    indices = np.array(chosen, np.int64) % (2 * shape[1]) - shape[1]
    gather(V3, View.dense(None, "float32", shape, order), indices)
