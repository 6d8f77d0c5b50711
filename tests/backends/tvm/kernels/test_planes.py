"""The frame around dense and sparse kernels: images, offsets, strides, copied tiles, threads and epilogues."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.backends.tvm.kernels.builder import Expr, Flat, Kernel, Machine
from graphprune.backends.tvm.kernels.dense import dense_blocks, dense_function, register_tile, tap_table
from graphprune.backends.tvm.kernels.epilogue import Epilogue, Position, no_epilogue
from graphprune.backends.tvm.kernels.problem import PlaneProblem, Planes, channel_distance, tile_stride
from graphprune.backends.tvm.kernels.sparse import sparse_function
from graphprune.backends.tvm.kernels.sparse_rows import sparse_rows
from graphprune.backends.tvm.kernels.tiling import MOST_VECTORS, tile_positions
from graphprune.backends.tvm.kernels.view import View
from graphprune.layouts.csr import pack
from tests.backends.tvm.kernels.convolution import WINDOWS, convolve, padded, shown
from tests.backends.tvm.kernels.harness import MACHINES, V3, V4, Array, array_of, random, run

ONE_TAP = np.zeros(1, np.int32)
Multiply = Callable[..., Array]


@dataclass(frozen=True)
class Fused:
    """What a kernel does besides the product."""

    operands: tuple[Array, ...] = ()
    epilogue: Epilogue = no_epilogue
    dtype: str = "float32"


NOTHING = Fused()


def dense(p: PlaneProblem, weight: Array, x: Array, taps: Array = ONE_TAP, fused: Fused = NOTHING) -> Array:
    rows, vectors = register_tile(p.machine, p.tiling.span, p.outputs)
    blocks, values = dense_blocks(weight, 1, rows, vectors)
    constants = [values, tap_table(weight.shape[1], taps, channel_distance(p))]
    return _run(p, x, constants, lambda *rest: dense_function("main", p, blocks, channel_distance(p), *rest), fused)


def sparse(p: PlaneProblem, weight: Array, x: Array, taps: Array = ONE_TAP, fused: Fused = NOTHING) -> Array:
    """In blocks of three channels."""
    rows = sparse_rows(pack(weight.reshape(len(weight), -1)), taps, channel_distance(p), 3)
    constants = rows.arrays
    return _run(p, x, constants, lambda *rest: sparse_function("main", p, rows, *rest), fused)


def _run(
    p: PlaneProblem,
    x: Array,
    constants: list[Array],
    build: Callable[[list[Flat], Epilogue, str], Expr],
    fused: Fused,
) -> Array:
    operands = [Flat(f"operand{i}", array.size, "float32") for i, array in enumerate(fused.operands)]
    function = build(operands, fused.epilogue, fused.dtype)
    size = p.images * p.outputs * p.positions
    y = run(function, p.machine, [x, *constants, *fused.operands], size, fused.dtype)
    return y.reshape(p.images, p.outputs, p.positions)


KERNELS = [pytest.param(dense, id="dense"), pytest.param(sparse, id="sparse")]


def problem_of(machine: Machine, view: View, outputs: int, *, copy_tile: bool = True) -> PlaneProblem:
    """The product over a view [image, channel, position]."""
    images, channels, positions = view.shape
    image, channel, position = view.strides
    planes = Planes(view.size, channels, image, channel, position, view.offset)
    tiling = tile_positions(positions, machine.lanes, 4)
    return PlaneProblem(machine, images, outputs, positions, planes, tiling, copy_tile=copy_tile)


def weight_of(outputs: int, channels: int, taps: int = 1) -> Array:
    weight: Array = random(outputs * channels * taps, 7).reshape(outputs, channels, taps)
    weight[np.abs(weight) < 0.5] = 0
    return weight


def check(multiply: Multiply, machine: Machine, view: View, *, copy_tile: bool = True) -> None:
    x, weight = random(view.size), weight_of(5, view.shape[1])
    expected = np.einsum("mc,ncp->nmp", weight[:, :, 0].astype("f8"), array_of(view, x).astype("f8"))
    y = multiply(problem_of(machine, view, 5, copy_tile=copy_tile), weight, x)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


VIEWS = {
    "row-major": View.dense(None, "float32", (3, 7, 50)),
    "channels last": View.dense(None, "float32", (3, 7, 50), (0, 2, 1)),
    "images fastest": View.dense(None, "float32", (3, 7, 50), (2, 1, 0)),
    "part of a larger buffer": View.dense(None, "float32", (4, 9, 70)).slice(0, 1, 3).slice(1, 2, 7).slice(2, 3, 50),
    "backwards": View.dense(None, "float32", (3, 7, 50)).slice(1, 6, 7, -1).slice(2, 49, 50, -1),
    "every second position": View.dense(None, "float32", (3, 7, 100)).slice(2, 1, 50, 2),
    "one image for all": View.dense(None, "float32", (1, 7, 50)).broadcast((3, 7, 50)),
    "one channel for all": View.dense(None, "float32", (3, 1, 50)).broadcast((3, 7, 50)),
    "one position for all": View.dense(None, "float32", (3, 7, 1)).broadcast((3, 7, 50)),
    "one position": View.dense(None, "float32", (3, 7, 1)),
}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("multiply", KERNELS)
@pytest.mark.parametrize("name", VIEWS)
def test_copied_tiles_of_any_view(name: str, multiply: Multiply, machine: Machine) -> None:
    check(multiply, machine, VIEWS[name])


@pytest.mark.parametrize("machine", [V4, V3])
@pytest.mark.parametrize("multiply", KERNELS)
@pytest.mark.parametrize("vectors", [1, 4, 9])
def test_direct_tiles_end_where_the_buffer_ends(multiply: Multiply, machine: Machine, vectors: int) -> None:
    check(multiply, machine, View.dense(None, "float32", (2, 7, vectors * machine.lanes)), copy_tile=False)


@pytest.mark.parametrize("multiply", KERNELS)
def test_two_threads(multiply: Multiply) -> None:
    check(multiply, replace(V3, threads=2), VIEWS["channels last"])
    check(multiply, replace(V3, threads=2), VIEWS["one position"])


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("multiply", KERNELS)
@pytest.mark.parametrize("name", ["3x3", "stride 2, dilation 3", "uneven"])
def test_slack_never_reaches_an_output(name: str, multiply: Multiply, machine: Machine) -> None:
    """What lies behind the last plane, and the lanes of a tile beyond its outputs, may hold anything."""
    view, w = View.dense(None, "float32", (2, 4, 11, 13)), WINDOWS[name]
    flat, weight = random(view.size), weight_of(5, 4, w.kernel[0] * w.kernel[1])
    p = padded(machine, view, flat, w, 5)
    values = p.values.copy()
    values[values.size - MOST_VECTORS * machine.lanes :] = np.nan
    y = multiply(p.problem, weight, values, p.layout.tap_offsets())
    expected = convolve(shown(view, flat), weight, w)
    np.testing.assert_allclose(y.reshape(expected.shape), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("multiply", KERNELS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_element_reaches_only_its_position(multiply: Multiply, bad: float) -> None:
    view = View.dense(None, "float32", (2, 7, 50))
    x, weight = random(view.size), weight_of(5, 7)
    weight[:, 3] = 1
    x.reshape(view.shape)[1, 3, 47] = bad
    y = multiply(problem_of(V3, view, 5), weight, x)
    assert not np.isfinite(y[1, :, 47]).any()
    y[1, :, 47] = 0
    assert np.isfinite(y).all()


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("multiply", KERNELS)
def test_an_epilogue_of_bias_and_residual_in_another_type(multiply: Multiply, machine: Machine) -> None:
    view = VIEWS["channels last"]
    x, weight = random(view.size), weight_of(5, 7)
    bias, residual = random(5, 2), random(3 * 5 * 50, 3)

    def positive(kernel: Kernel, value: Expr, position: Position) -> Expr:
        image, channel, place = position
        return value + kernel["operand0"][channel] > kernel["operand1"][(image * 5 + channel) * 50 + place]

    p = problem_of(machine, view, 5)
    y = multiply(p, weight, x, fused=Fused((bias, residual), positive, "bool"))
    product = np.einsum("mc,ncp->nmp", weight[:, :, 0], array_of(view, x)) + bias[:, None]
    difference = product - residual.reshape(3, 5, 50)
    clear = np.abs(difference) > 1e-4
    np.testing.assert_array_equal(y[clear], (difference > 0)[clear])


def test_distances_between_channels() -> None:
    p = problem_of(V3, VIEWS["row-major"], 5)
    assert tile_stride(p) == 32
    assert channel_distance(p) == 32
    assert channel_distance(replace(p, copy_tile=False)) == 50


@st.composite
def views(draw: st.DrawFn) -> View:
    """[image, channel, position] in any memory order, cut out of a larger buffer."""
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 70)))
    margins = draw(st.tuples(*[st.integers(0, 2)] * 3))
    stored = [n + margin for n, margin in zip(shape, margins, strict=True)]
    view = View.dense(None, "float32", stored, draw(st.permutations(range(3))))
    for axis, (n, margin) in enumerate(zip(shape, margins, strict=True)):
        view = view.slice(axis, margin, n)
    return view


@given(views(), st.sampled_from([dense, sparse]))
@settings(max_examples=20, deadline=None)
def test_any_view(view: View, multiply: Multiply) -> None:
    check(multiply, V3, view)


@pytest.mark.parametrize("multiply", KERNELS)
@pytest.mark.parametrize(("threads", "positions", "outputs"), [(2, 49, 40), (3, 64, 7), (4, 20, 2), (7, 9, 1)])
@pytest.mark.parametrize("copy", [False, True])
def test_outputs_are_shared_where_tiles_are_few(
    multiply: Multiply, threads: int, positions: int, outputs: int, *, copy: bool
) -> None:
    machine, inputs = replace(V3, threads=threads), 9
    x = random(inputs * positions + MOST_VECTORS * machine.lanes, 1)
    weight = random(outputs * inputs, 2).reshape(outputs, inputs, 1)
    weight[np.random.default_rng(3).random(weight.shape) < 0.6] = 0
    planes, tiling = Planes(x.size, inputs, 0, positions), tile_positions(positions, machine.lanes, 4)
    p = PlaneProblem(machine, 1, outputs, positions, planes, tiling, copy_tile=copy)
    assert p.parts > 1
    expected = weight[:, :, 0] @ x[: inputs * positions].reshape(inputs, positions)
    np.testing.assert_allclose(multiply(p, weight, x)[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("threads", "positions", "parts"), [(1, 16, 1), (2, 16, 2), (2, 128, 1), (2, 80, 2), (3, 128, 3), (2, 64 * 99, 1)]
)
def test_parts_make_the_jobs_even(threads: int, positions: int, parts: int) -> None:
    machine = replace(V4, threads=threads)
    tiling = tile_positions(positions, machine.lanes, 4)
    assert PlaneProblem(machine, 1, 64, positions, Planes(0, 1, 0, positions), tiling).parts == parts


def test_rows_are_shared_by_their_nonzeros() -> None:
    weight = np.zeros((10, 40), np.float32)
    weight[:2] = 1
    weight[2:, :5] = 1
    rows = sparse_rows(pack(weight), ONE_TAP, 1, 16)
    assert (rows.blocks, rows.bounds(1), rows.bounds(2)) == (3, [0, 10], [0, 2, 10])
    assert rows.bounds(30)[-1] == 10
