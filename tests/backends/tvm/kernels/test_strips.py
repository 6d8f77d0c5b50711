"""Planes cut in strips: the cut covers the plane, and convolutions over it are right, against their definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphprune.backends.tvm.kernels.builder import Machine
from graphprune.backends.tvm.kernels.elementwise import copy_function
from graphprune.backends.tvm.kernels.pad import Window, padded_planes
from graphprune.backends.tvm.kernels.problem import PlaneProblem
from graphprune.backends.tvm.kernels.sparse import sparse_function
from graphprune.backends.tvm.kernels.sparse_rows import sparse_rows
from graphprune.backends.tvm.kernels.strips import Cut, StripPlanes, Strips, choose_strips, strip_function
from graphprune.backends.tvm.kernels.view import View
from graphprune.layouts import csr
from tests.backends.tvm.kernels.convolution import WINDOWS, convolve, shown
from tests.backends.tvm.kernels.harness import MACHINES, V4, Array, array_of, random, run


def convolved(machine: Machine, view: View, flat: Array, w: Window, weight: Array) -> Array:
    """Cut, multiply and put together again."""
    images, channels, height, width = view.shape
    output = w.output(height, width)
    around = padded_planes(w, channels, height, width, output, machine.lanes)
    layout = StripPlanes(around, choose_strips(output, around.halo, machine.lanes), machine.lanes)
    planes = layout.planes(images)
    cut = run(strip_function("main", machine, view, layout), machine, [flat], planes.size)
    sums = layout.output(images, weight.shape[0], "float32")
    p = PlaneProblem(machine, images, weight.shape[0], sums.size // images // weight.shape[0], planes, layout.tiling())
    packed = csr.pack(weight.reshape(weight.shape[0], -1))
    rows = sparse_rows(packed, layout.tap_offsets(), planes.channel_stride, 4)
    inputs = [cut, *rows.arrays]
    y = run(sparse_function("main", p, rows), machine, inputs, sums.size)
    result = View.dense(None, "float32", (images, weight.shape[0], *output))
    return run(copy_function(machine, sums, layout.strips.cut(result)), machine, [y], result.size).reshape(result.shape)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("size", [(13, 18), (14, 14)])
def test_windows(machine: Machine, name: str, size: tuple[int, int]) -> None:
    w = WINDOWS[name]
    view = View.dense(None, "float32", (2, 6, *size))
    flat = random(view.size)
    weight = random(5 * 6 * w.kernel[0] * w.kernel[1], 1).reshape(5, 6, -1)
    y = convolved(machine, view, flat, w, weight)
    np.testing.assert_allclose(y, convolve(shown(view, flat), weight, w), rtol=1e-5, atol=1e-4)


def test_two_threads_and_a_strided_view() -> None:
    w = WINDOWS["3x3"]
    view = View.dense(None, "float32", (1, 9, 11, 6)).transpose((0, 3, 1, 2))
    flat, weight = random(view.size), random(3 * 6 * 9, 1).reshape(3, 6, 9)
    y = convolved(replace(V4, threads=2), view, flat, w, weight)
    np.testing.assert_allclose(y, convolve(shown(view, flat), weight, w), rtol=1e-5, atol=1e-4)


@given(st.tuples(st.integers(1, 70), st.integers(1, 70)), st.sampled_from([8, 16]))
def test_a_cut_shows_every_position(output: tuple[int, int], lanes: int) -> None:
    strips = choose_strips(output, (2, 2), lanes)
    assert strips.rows.count * strips.columns.count <= lanes
    plane = View.dense(None, "float32", (1, 1, *output))
    places = array_of(strips.cut(plane), np.arange(plane.size, dtype=np.float32))
    assert set(places.ravel()) == set(range(plane.size))


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [
        (56, Cut(4, 14, 14), Cut(4, 14, 14)),
        (28, Cut(4, 7, 7), Cut(4, 7, 7)),
        (14, Cut(7, 2, 2), Cut(2, 7, 7)),
        (7, Cut(7, 1, 1), Cut(2, 4, 3)),
    ],
)
def test_common_planes_fill_the_lanes(size: int, rows: Cut, columns: Cut) -> None:
    assert choose_strips((size, size), (2, 2), 16) == Strips(rows, columns)


def test_channels_take_an_odd_number_of_vectors() -> None:
    padded = padded_planes(WINDOWS["3x3"], 3, 56, 56, (56, 56), 16)
    layout = StripPlanes(padded, choose_strips((56, 56), padded.halo, 16), 16)
    assert (layout.rows, layout.pitch, layout.planes(1).channel_stride) == (16, 16, 257 * 16)
