"""Element-wise loops and concatenation over views, against NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.backends.tvm.kernels.builder import Expr, Machine
from graphprune.backends.tvm.kernels.elementwise import concat_function, copy_function, elementwise_function
from graphprune.backends.tvm.kernels.view import View
from tests.backends.tvm.kernels.harness import MACHINES, V3, V4, Array, array_of, random, run


def dense(*shape: int, order: tuple[int, ...] | None = None, dtype: str = "float32") -> View:
    return View.dense(None, dtype, shape, order)


def weighted_sum(loads: Sequence[Expr]) -> Expr:
    """Tells the operands apart."""
    result = loads[0]
    for load in loads[1:]:
        result = result + result + load
    return result


def check(machine: Machine, operands: Sequence[View], order: tuple[int, ...] | None = None) -> None:
    """The kernel combines what the views show, in any order of the output."""
    result = dense(*operands[0].shape, order=order)
    flats = [random(view.size, seed) for seed, view in enumerate(operands)]
    function = elementwise_function("main", machine, operands, result, weighted_sum)
    y = run(function, machine, flats, result.size)
    expected, *others = [array_of(view, flat) for view, flat in zip(operands, flats, strict=True)]
    for other in others:
        expected = expected + expected + other
    np.testing.assert_allclose(array_of(result, y), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 129])
def test_spans_around_vector_borders(machine: Machine, size: int) -> None:
    check(machine, [dense(size), dense(size)])
    check(machine, [dense(3, size), dense(3, size, order=(1, 0))])


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("order", [None, (2, 0, 1), (1, 2, 0)])
def test_operands_of_any_layout(machine: Machine, order: tuple[int, ...] | None) -> None:
    shape = (3, 5, 19)
    views = [
        dense(*shape),
        dense(*shape, order=(2, 1, 0)),
        dense(19).broadcast(shape),
        dense(5, 1).broadcast(shape),
        dense().broadcast(shape),
        dense(3, 5, 40).slice(2, 39, 19, -2),
        dense(7, 5, 19).slice(0, 2, 3),
    ]
    check(machine, views, order)


def test_a_scalar() -> None:
    check(V3, [dense(), dense()])


@pytest.mark.parametrize("machine", [V4, V3])
@pytest.mark.parametrize("shape", [(96,), (97,), (0,), (6, 33), (1, 64)])
def test_two_threads(machine: Machine, shape: tuple[int, ...]) -> None:
    check(replace(machine, threads=2), [dense(*shape), dense(*shape)])


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float64", "float16"])
@pytest.mark.parametrize("shape", [(5, 19), (70, 37)])
def test_copies_of_other_types(machine: Machine, shape: tuple[int, int], dtype: str) -> None:
    source = dense(*shape, dtype=dtype).transpose((1, 0))
    flat = abs(random(source.size) * 9).astype(dtype)
    y = run(copy_function(machine, source, dense(*shape[::-1], dtype=dtype)), machine, [flat], source.size, dtype)
    np.testing.assert_array_equal(y, flat.reshape(shape).T.ravel())


@pytest.mark.parametrize("machine", MACHINES)
def test_a_transposition_that_changes_the_type(machine: Machine) -> None:
    source, result = dense(70, 37, dtype="uint8").transpose((1, 0)), dense(37, 70, dtype="float64")
    flat = abs(random(source.size) * 9).astype("uint8")
    function = elementwise_function("main", machine, [source], result, lambda x: x[0].astype("float64"))
    y = run(function, machine, [flat], source.size, "float64")
    np.testing.assert_array_equal(y, flat.reshape(70, 37).T.ravel())


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("size", [63, 64, 200])
def test_narrow_types_in_whole_vectors(machine: Machine, size: int) -> None:
    x = abs(random(2 * size) * 9).astype("uint8")
    operands = [dense(size, dtype="uint8"), dense(1, dtype="uint8").broadcast((size,))]
    function = elementwise_function("main", machine, operands, dense(size, dtype="uint8"), lambda x: x[0] + x[1])
    y = run(function, machine, [x[:size], x[-1:]], size, "uint8")
    np.testing.assert_array_equal(y, x[:size] + x[-1])


def concatenate(machine: Machine, parts: Sequence[View], axis: int, order: tuple[int, ...] | None = None) -> None:
    shape = list(parts[0].shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    result = dense(*shape, order=order)
    starts = np.cumsum([0, *(part.shape[axis] for part in parts)])
    sections = [result.slice(axis, int(start), part.shape[axis]) for start, part in zip(starts, parts, strict=False)]
    flats = [random(part.size, seed) for seed, part in enumerate(parts)]
    y = run(concat_function(machine, parts, sections), machine, flats, result.size)
    expected = np.concatenate([array_of(part, flat) for part, flat in zip(parts, flats, strict=True)], axis)
    np.testing.assert_array_equal(array_of(result, y), expected)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("order", [None, (2, 0, 1)])
def test_concatenation(machine: Machine, axis: int, order: tuple[int, ...] | None) -> None:
    for sizes in ([1, 17], [8], [3, 1, 16]):
        shapes = [[n if a == axis else 5 for a in range(3)] for n in sizes]
        concatenate(replace(machine, threads=len(sizes)), [dense(*shape) for shape in shapes], axis, order)


def test_concatenation_of_views() -> None:
    parts = [dense(9, 4).transpose((1, 0)), dense(1).broadcast((4, 3)), dense(4, 20).slice(1, 18, 7, -2)]
    concatenate(V3, parts, 1)
    concatenate(V3, parts, 1, (1, 0))


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[View], list[int]]:
    """Operands of one shape: dense in any order, sliced or repeated; and an order of the output."""
    shape = draw(st.lists(st.integers(1, 20), min_size=1, max_size=3))
    axes = range(len(shape))
    views = []
    for _ in range(draw(st.integers(1, 3))):
        repeated = draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape)))
        stored = [1 if once else n + draw(st.integers(0, 2)) for n, once in zip(shape, repeated, strict=True)]
        view = View.dense(None, "float32", stored, draw(st.permutations(axes)))
        for axis, (n, once) in enumerate(zip(shape, repeated, strict=True)):
            view = view if once else view.slice(axis, stored[axis] - n, n)
        views.append(view.broadcast(shape))
    return views, draw(st.permutations(axes))


@given(problems())
@settings(max_examples=25, deadline=None)
def test_any_problem(problem: tuple[list[View], list[int]]) -> None:
    views, order = problem
    check(V3, views, tuple(order))


def test_nan_stays_where_it_is() -> None:
    """Neighbours in the same vector are other outputs."""
    x: Array = random(33)
    x[[3, 32]] = np.nan
    y = run(elementwise_function("main", V3, [dense(33)], dense(33), weighted_sum), V3, [x], 33)
    np.testing.assert_array_equal(y, x)
