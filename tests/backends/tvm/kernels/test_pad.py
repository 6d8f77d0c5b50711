"""The padded, phase-split planes: every tap at its constant offset from the output's place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from graphprune.backends.tvm.kernels.pad import Window, pad_function, padded_planes, padded_size
from graphprune.backends.tvm.kernels.text import CHECKS_VARIABLE
from graphprune.backends.tvm.kernels.view import View
from tests.backends.tvm.kernels.convolution import WINDOWS, padded, shown, taps_of, window
from tests.backends.tvm.kernels.harness import V3, V4, random


def check(w: Window, view: View) -> None:
    flat = random(view.size)
    result = padded(V3, view, flat, w, 1)
    layout, (height, width) = result.layout, result.layout.output
    expected = taps_of(shown(view, flat), w)
    for image in range(view.shape[0]):
        for channel in range(view.shape[1]):
            start = (image * layout.channels + channel) * layout.channel_stride
            for tap, offset in enumerate(layout.tap_offsets()):
                rows = start + offset + np.arange(height)[:, None] * layout.pitch + np.arange(width)
                np.testing.assert_array_equal(result.values[rows], expected[image, channel, tap])


@pytest.mark.parametrize("name", WINDOWS)
def test_every_tap_is_at_its_offset(name: str) -> None:
    check(WINDOWS[name], View.dense(None, "float32", (2, 3, 13, 18)))


def test_reads_any_view() -> None:
    channels_last = View.dense(None, "float32", (2, 3, 9, 11), (0, 2, 3, 1))
    check(WINDOWS["3x3 stride 2"], channels_last)
    check(WINDOWS["3x3"], channels_last.slice(2, 1, 6).slice(3, 10, 5, -2))


def test_channels_differ_in_cache_sets() -> None:
    view = View.dense(None, "float32", (1, 4, 14, 14))
    layout = padded(V3, view, random(view.size), WINDOWS["3x3"], 1).layout
    assert layout.channel_stride % 8 == 0
    assert layout.channel_stride // 8 % 2 == 1


def test_pointwise_is_recognised() -> None:
    assert window(1).is_pointwise
    assert not window(1, 2).is_pointwise
    assert not window(1, pads=(0, 0, 1, 0)).is_pointwise
    assert not window(3, pads=(1, 1, 1, 1)).is_pointwise


@given(
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.integers(1, 3),
    st.tuples(*[st.integers(0, 3)] * 4),
    st.tuples(st.integers(1, 12), st.integers(1, 40)),
)
@settings(max_examples=25, deadline=None)
def test_any_window(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: int,
    pads: tuple[int, int, int, int],
    size: tuple[int, int],
) -> None:
    w = window(kernel, stride, dilation, pads)
    assume(min(w.output(*size)) > 0)
    check(w, View.dense(None, "float32", (1, 2, *size)))


@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (3, 5, 2, 4)], ids=["no pads", "pads"])
@pytest.mark.parametrize("kernel", [5, 6])
def test_a_patch_of_many_phases(kernel: int, pads: tuple[int, int, int, int]) -> None:
    check(window(kernel, 6, pads=pads), View.dense(None, "float32", (1, 2, 25, 111)))


def test_the_farthest_of_the_phases_stays_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHECKS_VARIABLE, "1")
    check(window((1, 2), (1, 2)), View.dense(None, "float32", (1, 1, 5, 4)))


def test_code_does_not_grow_with_the_stride() -> None:
    def loops(patch: int) -> int:
        height, width = 4 * patch, 24 * patch
        view = View.dense(None, "float32", (1, 1, height, width))
        layout = padded_planes(window(patch, patch), 1, height, width, (4, 24), V3.lanes)
        return str(pad_function("pad", V3, view, layout, padded_size(layout, 1, 0), 0.0)).count("for ")

    assert loops(32) == loops(4)


def test_wide_vectors() -> None:
    view = View.dense(None, "float32", (1, 2, 5, 70))
    result = padded(V4, view, random(view.size), WINDOWS["3x3 stride 2"], 1)
    assert result.layout.channel_stride % 16 == 0
