"""Taps in words: how many, and that their sums are those of the definition, exactly."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.backends.tvm.kernels.builder import Flat, Machine
from graphprune.backends.tvm.kernels.dot import PAIRS, QUADS, SMALL_QUADS
from graphprune.backends.tvm.kernels.elements import Elements
from graphprune.backends.tvm.kernels.pad import PaddedPlanes, Window, padded_planes
from graphprune.backends.tvm.kernels.sliding import weighted_words
from graphprune.backends.tvm.kernels.tap_words import tap_words
from graphprune.backends.tvm.kernels.view import View
from graphprune.backends.tvm.kernels.window import window_function
from tests.backends.tvm.kernels.convolution import WINDOWS, convolve, taps_of, window
from tests.backends.tvm.kernels.harness import MACHINES, V3, Array, array_of, run

RNG = np.random.default_rng(0)
SIZE = (2, 3, 13, 18)


def layout_of(w: Window, channels: int, height: int, width: int, lanes: int = 8) -> PaddedPlanes:
    return padded_planes(w, channels, height, width, w.output(height, width), lanes)


def bytes_of(dtype: str, count: int) -> Array:
    """Bytes with the extremes among them."""
    limits = np.iinfo(dtype)
    values = RNG.integers(limits.min, limits.max + 1, count).astype(dtype)
    values[:2] = limits.min, limits.max
    return values


def assert_depthwise(
    machine: Machine, w: Window, view: View, elements: Elements, *, zero: int = 0, multiplier: int = 1
) -> None:
    """Compare with the definition; the inputs less `zero`, which lies around them."""
    channels, height, width = view.shape[1:]
    taps, shift = w.kernel[0] * w.kernel[1], 128 * (view.dtype == "int8")
    largest = 64 if elements is SMALL_QUADS else 128  # two of which that instruction does not saturate
    weight = RNG.integers(-largest, largest, (channels * multiplier, taps)).astype(np.int8)
    flat, layout = bytes_of(view.dtype, view.size), layout_of(w, channels, height, width, machine.lanes)
    sliding = weighted_words(tap_words(layout, elements), zero, multiplier)
    assert sliding.words is not None
    words = sliding.words.weight(weight).ravel()
    function = window_function(
        "main", machine, view, layout, sliding, [Flat("weight", words.size, "int32")], output_dtype="int32"
    )
    shape = (view.shape[0], len(weight), *layout.output)
    y = run(function, machine, [flat, words, sliding.offsets(layout)], int(np.prod(shape)), "int32").reshape(shape)
    point = zero + (shift if elements is SMALL_QUADS else 0)
    found = y - point * weight.sum(1, dtype=np.int64).reshape(1, -1, 1, 1)
    x = array_of(view, flat).astype(np.int64) - zero
    np.testing.assert_array_equal(found, convolve(x, weight[:, None], w, channels))


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("elements", [PAIRS, SMALL_QUADS], ids=["pairs", "fours"])
@pytest.mark.parametrize("name", WINDOWS)
def test_sums_are_exact(machine: Machine, elements: Elements, name: str) -> None:
    assert_depthwise(machine, WINDOWS[name], View.dense(None, "uint8", SIZE), elements, zero=131)


@pytest.mark.parametrize("elements", [PAIRS, SMALL_QUADS], ids=["pairs", "fours"])
def test_signed_activations(elements: Elements) -> None:
    assert_depthwise(V3, WINDOWS["3x3"], View.dense(None, "int8", SIZE), elements, zero=-7)


@pytest.mark.parametrize("multiplier", [2, 3])
def test_several_outputs_a_channel(multiplier: int) -> None:
    assert_depthwise(V3, WINDOWS["3x3"], View.dense(None, "uint8", SIZE), PAIRS, zero=3, multiplier=multiplier)


@pytest.mark.parametrize("size", [(1, 1), (7, 7), (14, 14), (28, 28), (3, 112), (2, 150), (112, 112)])
@pytest.mark.parametrize("name", ["3x3", "3x3 stride 2", "5x5", "9x9"])
def test_plane_sizes(size: tuple[int, int], name: str) -> None:
    """Rows together in registers, rows after another, rows in pieces; 9 x 9 has more words than are written out."""
    windows = {**WINDOWS, "5x5": window(5, pads=(2, 2, 2, 2)), "9x9": window(9, pads=(4, 4, 4, 4))}
    assert_depthwise(V3, windows[name], View.dense(None, "uint8", (1, 9, *size)), PAIRS, zero=200)


def test_reads_any_view() -> None:
    channels_last = View.dense(None, "uint8", (2, 3, 9, 11), (0, 2, 3, 1))
    assert_depthwise(V3, WINDOWS["3x3"], channels_last, PAIRS)
    assert_depthwise(V3, WINDOWS["3x3 stride 2"], channels_last.slice(2, 1, 6).slice(3, 10, 5, -2), PAIRS)


@pytest.mark.parametrize(
    ("w", "pairs", "fours"),
    [
        (window(3), 6, 3),
        (window(3, 2), 6, 3),
        (window(5), 15, 10),
        (window((1, 5)), 3, 2),
        (window((5, 1)), 3, 2),
        (window(3, dilation=2), 6, 3),
        (window(4, 3), 16, 4),  # the second pair of neighbours lies apart otherwise than the first
        (window(4, (1, 3)), 8, 4),  # along rows alone
        (window(2, 3), 2, 2),
    ],
)
def test_windows_take_the_fewest_words(w: Window, pairs: int, fours: int) -> None:
    layout = layout_of(w, 1, 30, 30)
    assert [len(tap_words(layout, elements).offsets) for elements in (PAIRS, QUADS)] == [pairs, fours]


def test_of_a_plane_only_words_that_are_multiplied_are_made() -> None:
    """At stride 2 every second row starts one."""
    layout = layout_of(window(3, 2), 1, 30, 30)
    whole = taps_of(np.zeros((1, 1, 30, 30)), window(3, 2)).shape[3] * layout.pitch
    assert tap_words(layout, PAIRS).count < 3 * whole < layout.channel_stride
