"""Row kernels, reductions and normalisations, against NumPy in float64, over every way the rows can lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import tirx

from graphprune.backends.tvm.kernels.builder import Expr, Flat, Kernel, Machine, constant
from graphprune.backends.tvm.kernels.normalization import Normalize, Reduction, log_softmax, log_sum_exp, softmax
from graphprune.backends.tvm.kernels.rows import Place, RowBlock, RowProblem, row_function
from graphprune.backends.tvm.kernels.view import View
from tests.backends.tvm.kernels.harness import MACHINES, V3, Array, array_of, random, run

Recipe = Callable[[RowBlock], None]
Oracle = Callable[[Array, tuple[int, ...]], Array]

MEAN = Reduction(0, lambda a, b: a + b, finish=lambda total, length: total * constant(1 / length, "float32"))
SUM = Reduction(0, lambda a, b: a + b)
MAXIMUM = Reduction(float("-inf"), tirx.max)
PRODUCT = Reduction(1, lambda a, b: a * b)
SQUARES = Reduction(0, lambda a, b: a + b, lambda x: x * x)

REDUCTIONS: dict[str, tuple[Recipe, Oracle]] = {
    "mean": (MEAN, lambda x, axes: x.mean(axes)),
    "sum": (SUM, lambda x, axes: x.sum(axes)),
    "maximum": (MAXIMUM, lambda x, axes: x.max(axes)),
    "product": (PRODUCT, lambda x, axes: x.prod(axes)),
    "squares": (SQUARES, lambda x, axes: (x * x).sum(axes)),
    "log sum exp": (log_sum_exp, lambda x, axes: np.log(np.exp(x).sum(axes))),
}


def _softmax(x: Array, axes: tuple[int, ...]) -> Array:
    powers = np.exp(x - x.max(axes, keepdims=True))
    return np.asarray(powers / powers.sum(axes, keepdims=True))


def _normalized(x: Array, axes: tuple[int, ...]) -> Array:
    return np.asarray((x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5))


MAPS: dict[str, tuple[Recipe, Oracle]] = {
    "softmax": (softmax, _softmax),
    "log softmax": (log_softmax, lambda x, axes: np.log(_softmax(x, axes))),
    "normalize": (Normalize(1e-5, None, None), _normalized),
    "rms": (
        Normalize(1e-5, None, None, centered=False),
        lambda x, axes: x / np.sqrt((x * x).mean(axes, keepdims=True) + 1e-5),
    ),
}

VIEWS = {
    "row-major": View.dense(None, "float32", (2, 5, 37)),
    "channel-major": View.dense(None, "float32", (2, 5, 37), (2, 0, 1)),
    "middle axis fastest": View.dense(None, "float32", (3, 41, 5), (2, 0, 1)),
    "long rows": View.dense(None, "float32", (3, 2, 300)),
    "many rows": View.dense(None, "float32", (130, 1, 6), (2, 1, 0)),
    "slice": View.dense(None, "float32", (4, 6, 40)).slice(2, 3, 35).slice(1, 5, 3, -2),
    "every second": View.dense(None, "float32", (4, 6, 40)).slice(2, 0, 20, 2),
    "one element a row": View.dense(None, "float32", (7, 9, 1)),
    "one row": View.dense(None, "float32", (1, 1, 50)),
}


def reduce_rows(machine: Machine, view: View, axes: tuple[int, ...], recipe: Recipe, flat: Array) -> Array:
    """One output a row, row-major."""
    kept = [axis for axis in range(len(view.shape)) if axis not in axes]
    shape = [view.shape[axis] for axis in kept]
    strides = [0] * len(view.shape)
    for axis, stride in zip(kept, View.dense(None, "", shape).strides, strict=True):
        strides[axis] = stride
    size, dtype = int(np.prod(shape)), str(flat.dtype)
    problem = RowProblem(machine, view, axes, tuple(strides), size, dtype)
    return run(row_function("main", problem, recipe), machine, [flat], size, dtype).reshape(shape)


def map_rows(
    machine: Machine,
    view: View,
    axes: tuple[int, ...],
    recipe: Recipe,
    flat: Array,
    order: Sequence[int] | None = None,
    extra: dict[str, Array] | None = None,
) -> Array:
    """One output an element, written in memory in `order`."""
    result = View.dense(None, "float32", view.shape, order)
    problem = RowProblem(machine, view, axes, result.strides, result.size, "float32")
    extra = extra or {}
    operands = [Flat(name, array.size, "float32") for name, array in extra.items()]
    y = run(row_function("main", problem, recipe, operands), machine, [flat, *extra.values()], result.size)
    return array_of(result, y)


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("recipe", REDUCTIONS)
def test_reductions_over_the_last_axis(name: str, recipe: str) -> None:
    flat = random(VIEWS[name].size)
    kernel, oracle = REDUCTIONS[recipe]
    expected = oracle(array_of(VIEWS[name], flat).astype(np.float64), (2,))
    y = reduce_rows(V3, VIEWS[name], (2,), kernel, flat)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("name", ["row-major", "channel-major", "slice"])
def test_reductions_over_any_axes(name: str, axes: tuple[int, ...]) -> None:
    flat = random(VIEWS[name].size)
    y = reduce_rows(V3, VIEWS[name], axes, SUM, flat)
    expected = array_of(VIEWS[name], flat).astype(np.float64).sum(axes)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("recipe", MAPS)
def test_maps_over_the_last_axis(machine: Machine, name: str, recipe: str) -> None:
    flat = random(VIEWS[name].size)
    kernel, oracle = MAPS[recipe]
    expected = oracle(array_of(VIEWS[name], flat).astype(np.float64), (2,))
    y = map_rows(machine, VIEWS[name], (2,), kernel, flat)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("axes", [(1,), (1, 2), (0,)])
@pytest.mark.parametrize("recipe", ["softmax", "normalize"])
def test_output_lies_as_the_caller_wants(order: tuple[int, ...], axes: tuple[int, ...], recipe: str) -> None:
    view = VIEWS["middle axis fastest"]
    flat = random(view.size)
    kernel, oracle = MAPS[recipe]
    expected = oracle(array_of(view, flat).astype(np.float64), axes)
    np.testing.assert_allclose(map_rows(V3, view, axes, kernel, flat, order), expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_layer_normalization_with_scale_and_shift(order: tuple[int, ...]) -> None:
    view = View.dense(None, "float32", (20, 48), order)
    flat, scale, shift = random(view.size), random(48, 1), random(48, 2)

    def at(name: str) -> Callable[[RowBlock, Place], Expr]:
        return lambda block, place: block.kernel[name][place[1]]

    recipe = Normalize(1e-5, at("scale"), at("shift"))
    y = map_rows(V3, view, (1,), recipe, flat, order, {"scale": scale, "shift": shift})
    expected = _normalized(array_of(view, flat).astype(np.float64), (1,)) * scale + shift
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("shape", [(3, 300), (40, 768)])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_large_mean_costs_no_accuracy(order: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Wherever rows lie, the result is as near as float32 features of that size allow: a unit in the last place."""
    view = View.dense(None, "float32", shape, order)
    flat = random(view.size) + 1000
    expected = _normalized(array_of(view, flat).astype(np.float64), (1,))
    y = map_rows(V3, view, (1,), Normalize(1e-5, None, None), flat)
    np.testing.assert_allclose(y, expected, atol=np.spacing(np.float32(1000)), rtol=0)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_softmax_neither_overflows_nor_divides_by_zero(order: tuple[int, ...]) -> None:
    view = View.dense(None, "float32", (4, 40), order)
    x = np.zeros((4, 40), np.float32)
    x[0] = 1e4
    x[1, 3:] = -np.inf
    x[2, 0] = 200
    x[3] = -3e38
    flat = np.ascontiguousarray(x.transpose(order)).ravel()
    y = map_rows(V3, view, (1,), softmax, flat)
    np.testing.assert_allclose(y, _softmax(x.astype(np.float64), (1,)), rtol=1e-6, atol=1e-30)
    np.testing.assert_allclose(y.sum(1), 1, rtol=1e-5)


def test_log_sum_exp_of_minus_infinities() -> None:
    view = View.dense(None, "float32", (2, 20))
    flat = np.full(40, -np.inf, np.float32)
    flat[20:] = 1e4
    y = reduce_rows(V3, view, (1,), log_sum_exp, flat)
    np.testing.assert_allclose(y, [-np.inf, 1e4 + np.log(20)])


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "float64"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_other_dtypes(dtype: str, order: tuple[int, ...]) -> None:
    view = View.dense(None, dtype, (19, 23), order)
    flat = np.random.default_rng(0).integers(0, 10, view.size).astype(dtype)
    x = array_of(view, flat)
    np.testing.assert_array_equal(reduce_rows(V3, view, (1,), SUM, flat), x.sum(1, dtype=dtype))
    largest = Reduction(0, tirx.max)
    np.testing.assert_array_equal(reduce_rows(V3, view, (1,), largest, flat), x.max(1))


def test_epilogue_knows_its_place() -> None:
    view = View.dense(None, "float32", (6, 40))
    flat, bias = random(view.size), random(view.size, 1)

    def add(kernel: Kernel, value: Expr, place: Place) -> Expr:
        return value + kernel["bias"][place[0] * 40 + place[1]]

    problem = RowProblem(V3, view, (1,), view.strides, view.size, "float32")
    function = row_function("main", problem, softmax, [Flat("bias", bias.size, "float32")], add)
    y = run(function, V3, [flat, bias], view.size)
    expected = _softmax(array_of(view, flat).astype(np.float64), (1,)).ravel() + bias
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


def test_several_threads() -> None:
    view = View.dense(None, "float32", (9, 70))
    flat = random(view.size)
    y = map_rows(replace(V3, threads=2), view, (1,), softmax, flat)
    np.testing.assert_allclose(y, _softmax(array_of(view, flat).astype(np.float64), (1,)), rtol=1e-5, atol=1e-7)


@st.composite
def problems(draw: st.DrawFn) -> tuple[View, tuple[int, ...], list[int]]:
    shape = draw(st.lists(st.integers(1, 40), min_size=1, max_size=3))
    axes = draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    view = View.dense(None, "float32", shape, draw(st.permutations(range(len(shape)))))
    return view, tuple(sorted(axes)), draw(st.permutations(range(len(shape))))


@given(problems())
@settings(max_examples=20, deadline=None)
def test_any_problem(problem: tuple[View, tuple[int, ...], list[int]]) -> None:
    view, axes, order = problem
    flat = random(view.size)
    x = array_of(view, flat).astype(np.float64)
    np.testing.assert_allclose(reduce_rows(V3, view, axes, MAXIMUM, flat), x.max(axes))
    y = map_rows(V3, view, axes, softmax, flat, order)
    np.testing.assert_allclose(y, _softmax(x, axes), rtol=1e-5, atol=1e-7)
