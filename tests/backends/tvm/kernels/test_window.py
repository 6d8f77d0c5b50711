"""Depthwise convolution and pooling against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from graphprune.backends.tvm.kernels.builder import Expr, Flat, Kernel, Machine
from graphprune.backends.tvm.kernels.epilogue import Epilogue, Position, no_epilogue
from graphprune.backends.tvm.kernels.pad import Window, padded_planes
from graphprune.backends.tvm.kernels.sliding import SUM, Sliding, maximum, weighted
from graphprune.backends.tvm.kernels.view import View
from graphprune.backends.tvm.kernels.window import window_function
from tests.backends.tvm.kernels.convolution import WINDOWS, convolve, shown, taps_of, window
from tests.backends.tvm.kernels.harness import MACHINES, V3, V4, Array, random, run

VIEW = View.dense(None, "float32", (2, 3, 13, 18))


def slide(
    machine: Machine,
    w: Window,
    sliding: Sliding,
    view: View,
    flat: Array,
    operands: dict[str, Array] | None = None,
    epilogue: Epilogue = no_epilogue,
) -> Array:
    """The kernel's output [image, output channel, height, width]."""
    images, channels, height, width = view.shape
    layout = padded_planes(w, channels, height, width, w.output(height, width), machine.lanes)
    operands = operands or {}
    arguments = [Flat(name, array.size, "float32") for name, array in operands.items()]
    function = window_function("main", machine, view, layout, sliding, arguments, epilogue)
    shape = (images, channels * sliding.multiplier, *layout.output)
    inputs = [flat, *operands.values(), layout.tap_offsets()]
    return run(function, machine, inputs, int(np.prod(shape))).reshape(shape)


def assert_depthwise(machine: Machine, w: Window, view: View, multiplier: int) -> None:
    taps, channels = w.kernel[0] * w.kernel[1], view.shape[1]
    flat, weight = random(view.size), random(channels * multiplier * taps, 1)
    y = slide(machine, w, weighted(taps, multiplier), view, flat, {"weight": weight})
    expected = convolve(shown(view, flat), weight.reshape(channels * multiplier, 1, taps), w, channels)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", WINDOWS)
def test_depthwise(machine: Machine, name: str) -> None:
    assert_depthwise(machine, WINDOWS[name], VIEW, 1)


@pytest.mark.parametrize("multiplier", [2, 3])
def test_several_outputs_a_channel(multiplier: int) -> None:
    assert_depthwise(V3, WINDOWS["3x3"], VIEW, multiplier)


@pytest.mark.parametrize("size", [(1, 1), (7, 7), (14, 14), (28, 28), (3, 112), (2, 150)])
def test_plane_sizes(size: tuple[int, int]) -> None:
    view = View.dense(None, "float32", (1, 2, *size))
    assert_depthwise(V4, WINDOWS["3x3"], view, 1)
    assert_depthwise(V4, WINDOWS["3x3 stride 2"], view, 1)


def test_reads_any_view() -> None:
    channels_last = View.dense(None, "float32", (2, 3, 9, 11), (0, 2, 3, 1))
    assert_depthwise(V3, WINDOWS["3x3"], channels_last, 1)
    assert_depthwise(V3, WINDOWS["3x3 stride 2"], channels_last.slice(2, 1, 6).slice(3, 10, 5, -2), 1)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", WINDOWS)
def test_maximum(machine: Machine, name: str) -> None:
    flat = random(VIEW.size) - 5
    y = slide(machine, WINDOWS[name], maximum("float32"), VIEW, flat)
    np.testing.assert_array_equal(y, taps_of(shown(VIEW, flat), WINDOWS[name], -np.inf).max(axis=2))


@pytest.mark.parametrize("name", WINDOWS)
def test_sum(name: str) -> None:
    flat = random(VIEW.size)
    y = slide(V3, WINDOWS[name], SUM, VIEW, flat)
    np.testing.assert_allclose(y, taps_of(shown(VIEW, flat), WINDOWS[name]).sum(axis=2), rtol=1e-5, atol=1e-5)


def test_epilogue_knows_its_place() -> None:
    flat, bias = random(VIEW.size), random(2 * 3 * 13 * 18, 1)

    def add(kernel: Kernel, value: Expr, position: Position) -> Expr:
        image, channel, place = position
        return value + kernel["bias"][(image * 3 + channel) * 234 + place]

    y = slide(V3, WINDOWS["3x3"], SUM, VIEW, flat, {"bias": bias}, add)
    expected = taps_of(shown(VIEW, flat), WINDOWS["3x3"]).sum(axis=2) + bias.reshape(2, 3, 13, 18)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@given(
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.integers(1, 2),
    st.tuples(*[st.integers(0, 2)] * 4),
    st.tuples(st.integers(1, 12), st.integers(1, 40)),
)
@settings(max_examples=15, deadline=None)
def test_any_window(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: int,
    pads: tuple[int, int, int, int],
    size: tuple[int, int],
) -> None:
    w = window(kernel, stride, dilation, pads)
    assume(min(w.output(*size)) > 0)
    assert_depthwise(V3, w, View.dense(None, "float32", (1, 2, *size)), 1)
