"""Moments of channels, beside NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.calibration.channel_moments import ENOUGH, MOST, ChannelMoments

RNG = np.random.default_rng(3)


def outputs(samples: int = ENOUGH) -> tuple[np.ndarray, np.ndarray]:
    """What three channels are now and in the dense model, float32 [samples, 3, 2, 5]."""
    now = RNG.standard_normal((samples, 3, 2, 5)) * np.array([1, 2, 0.5])[:, None, None] + 3
    dense = now * np.array([1.5, 0.5, 3])[:, None, None] + RNG.standard_normal(now.shape) * 0.1
    return now.astype(np.float32), dense.astype(np.float32)


def moments(now: np.ndarray, dense: np.ndarray, axis: int = 0) -> ChannelMoments:
    found = ChannelMoments(axis, now.shape[1 + axis])
    for pair in zip(now, dense, strict=True):
        found.add(*pair)
    return found


def test_sums_are_those_of_numpy() -> None:
    now, dense = outputs()
    found = moments(now, dense)
    assert (found.samples, found.rows) == (ENOUGH, ENOUGH * 10)
    for side, mean, variance in zip((now, dense), found.means(), found.variances()[:2], strict=True):
        np.testing.assert_allclose(mean, side.mean(axis=(0, 2, 3)), rtol=1e-5)
        np.testing.assert_allclose(variance, side.var(axis=(0, 2, 3)), rtol=1e-5)
    rows = [np.moveaxis(side, 1, 0).reshape(3, -1).astype(np.float64) for side in (now, dense)]
    expected = [np.cov(one, other, bias=True)[0, 1] for one, other in zip(*rows, strict=True)]
    np.testing.assert_allclose(found.variances()[2], expected, rtol=1e-9)


def test_channels_may_lie_along_the_last_axis() -> None:
    now, dense = outputs()
    turned = moments(np.moveaxis(now, 1, -1), np.moveaxis(dense, 1, -1), axis=2)
    np.testing.assert_allclose(turned.scale(), moments(now, dense).scale(), rtol=1e-9)


def test_scaled_channels_have_the_deviation_of_the_dense_ones() -> None:
    now, dense = outputs()
    found = moments(now, dense)
    expected = dense.std(axis=(0, 2, 3)) / now.std(axis=(0, 2, 3))
    np.testing.assert_allclose(found.scale(), expected, rtol=1e-5)
    back = (now - now.mean(axis=(0, 2, 3), keepdims=True)) * found.scale()[:, None, None]
    wrong = back + dense.mean(axis=(0, 2, 3), keepdims=True) - dense
    assert found.error(found.scale()) == pytest.approx(np.linalg.norm(wrong) / np.linalg.norm(dense), rel=1e-4)


def test_few_samples_are_believed_by_their_share() -> None:
    now, dense = outputs(ENOUGH // 2)
    expected = np.sqrt(dense.std(axis=(0, 2, 3)) / now.std(axis=(0, 2, 3)))
    np.testing.assert_allclose(moments(now, dense).scale(), expected, rtol=1e-5)


def test_factors_are_bounded() -> None:
    now, _ = outputs()
    factors = np.array([100, 0.01, 1])[:, None, None]
    np.testing.assert_allclose(moments(now, now * factors).scale(), [MOST, 1 / MOST, 1], rtol=1e-6)


@pytest.mark.parametrize("side", [0, 1])
def test_a_constant_channel_is_not_scaled(side: int) -> None:
    pair = outputs()
    pair[side][:, 1] = np.float32(1e6 / 3)
    scale = moments(*pair).scale()
    assert scale[1] == 1
    assert abs(scale[0] - 1) > 0.1


def test_outputs_that_are_zero_do_not_err() -> None:
    zeros = np.zeros((2, 3, 4), np.float32)
    assert moments(zeros, zeros).error(np.ones(3)) == 0
