"""Convolutions over three axes and more as convolutions over planes, against ONNX Runtime's own."""

from __future__ import annotations

import numpy as np
import pytest

from tests.backends.tvm.graphs import assert_equal_on, compile_, kernels, parse, pruned


@pytest.mark.parametrize("seed", range(16))
def test_random_windows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    group = int(rng.choice([1, 1, 2, 3]))
    kernel, strides, dilations = (rng.integers(1, most, 3).tolist() for most in (4, 3, 3))
    pads = [int(rng.integers(0, (k - 1) * d + 1)) for k, d in zip(kernel * 2, dilations * 2, strict=True)]
    x = (int(rng.integers(1, 3)), 2 * group, *rng.integers(7, 10, 3).tolist())
    attributes = f"group={group},strides={strides},dilations={dilations},pads={pads}"
    text = f"g (float{list(x)} x) => (float[n,m,d,h,w] y) {{ y = Conv<{attributes}>(x,k,b) }}"
    model = parse(text, {"k": (3 * group, 2, *kernel), "b": (3 * group,)})
    assert_equal_on({"x": rng.standard_normal(x).astype(np.float32)}, model, rtol=1e-5, atol=1e-5)


TEXT = "g (float[1,8,4,10,10] x) => (float[1,16,4,10,10] y) { y = Conv<pads=%s>(x,w) }"
ALL = [1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("kernel", "pads", "expected"),
    [
        ((1, 1, 1), [0] * 6, ["dense"]),  # a product at each place
        ((3, 1, 1), [1, 0, 0, 1, 0, 0], ["pad", "dense"]),  # planes of depth and all places
        ((1, 3, 3), [0, 1, 1, 0, 1, 1], ["pad", "dense", "copy"]),  # each depth is an image
        ((3, 3, 3), ALL, ["concat", "copy", "pad", "dense", "copy"]),
    ],
)
def test_the_plane_kernels_take_it(kernel: tuple[int, ...], pads: list[int], expected: list[str]) -> None:
    assert kernels(parse(TEXT % pads, {"w": (16, 8, *kernel)})) == expected


def test_four_axes_in_double_precision() -> None:
    model = parse("g (double[1,2,3,4,5,4] x, double[3,2,2,2,2,2] w) => (double[n,m,a,b,c,d] y) { y = Conv(x,w) }")
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 2, 3, 4, 5, 4)), rng.standard_normal((3, 2, 2, 2, 2, 2))
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 2, 2, 2), axis=(2, 3, 4, 5))
    expected = np.einsum("ncxyztijkl,mcijkl->nmxyzt", windows, w)
    np.testing.assert_allclose(compile_(model).run(None, {"x": x, "w": w})[0], expected, rtol=1e-12)


def test_zeros_of_a_packed_weight_are_skipped() -> None:
    model = parse(TEXT % ALL, {"w": pruned(16, 8, 3, 3, 3, zeros=0.9)})
    x = np.random.default_rng(2).standard_normal((1, 8, 4, 10, 10)).astype(np.float32)
    assert_equal_on({"x": x}, model, rtol=1e-5, atol=1e-5)
