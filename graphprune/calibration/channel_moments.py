"""What the channels of an output are on samples, as it is now and in the dense model."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MOST = 4.0
"""The largest factor of a channel, and one over the smallest: beyond that, what is left of it is noise."""

ENOUGH = 32
"""Samples that a deviation is believed of; of fewer, its logarithm counts by their share."""

_CONSTANT = 1e-9
"""The variance of a channel that is constant but for rounding, as a share of its mean square."""


class ChannelMoments:
    """Sums over samples and positions, in float64.

    Attributes:
        samples: How many there were.
        rows: How many positions, of all samples.
    """

    def __init__(self, axis: int, channels: int) -> None:
        """Begin with no samples, of outputs whose channels lie along an axis."""
        self.samples = self.rows = 0
        self._axis = axis
        self._totals: Floats = np.zeros((2, channels))
        self._products: Floats = np.zeros((3, channels))

    def add(self, now: npt.NDArray[Any], dense: npt.NDArray[Any]) -> None:
        """Add the outputs on one sample, of one shape: as they are, and as the dense model has them."""
        one, other = (self._by_channel(array) for array in (now, dense))
        pairs = (one, one), (other, other), (one, other)
        self._totals += [one.sum(axis=1), other.sum(axis=1)]
        self._products += [np.einsum("cr,cr->c", *pair) for pair in pairs]
        self.samples, self.rows = self.samples + 1, self.rows + one.shape[1]

    def _by_channel(self, array: npt.NDArray[Any]) -> Floats:
        channels = self._totals.shape[1]
        return np.moveaxis(array, self._axis, 0).reshape(channels, -1).astype(np.float64)

    def means(self) -> tuple[Floats, Floats]:
        """Return the mean of each channel, now and in the dense model, [channels]."""
        now, dense = self._totals / max(1, self.rows)
        return now, dense

    def variances(self) -> tuple[Floats, Floats, Floats]:
        """Return the variance of each channel, now and in the dense model, and their covariance, [channels]."""
        now, dense = self.means()
        one, other, both = self._products / max(1, self.rows) - [now * now, dense * dense, now * dense]
        return np.maximum(one, 0.0), np.maximum(other, 0.0), both

    def scale(self) -> Floats:
        """Return the factor of each channel that gives it the deviation of the dense model, [channels].

        It is within `MOST`, nearer to one of less than `ENOUGH` samples, and one where a channel is constant.
        """
        now, dense, _ = self.variances()
        squares = self._products[:2] / max(1, self.rows)
        varies = (np.stack([now, dense]) > _CONSTANT * squares).all(axis=0)
        ratio = np.sqrt(np.divide(dense, now, out=np.ones_like(now), where=varies))
        return np.clip(ratio, 1 / MOST, MOST) ** min(1.0, self.samples / ENOUGH)

    def error(self, scale: Floats) -> float:
        """Return what scaled channels of the dense mean differ by: its root mean square over that of the dense ones."""
        now, dense, both = self.variances()
        wrong = float((scale * scale * now - 2 * scale * both + dense).sum())
        whole = float(self._products[1].sum()) / max(1, self.rows)
        return math.sqrt(max(0.0, wrong) / whole) if whole else 0.0
