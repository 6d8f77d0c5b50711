"""Exact order statistics of scores, by counting instead of sorting.

A float32 maps to a 32-bit integer of the same order; two passes that count its upper and then its lower 16 bits find
the k-th smallest value exactly. The cost is two reads of the scores and no copy of them, several times faster than a
partition, and the scores may come in pieces that together would not fit into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_CHUNK = 1 << 18  # elements: the integer images of a chunk stay in cache
_HALF = 1 << 16
_LOWER = np.uint32(_HALF - 1)
_SHIFT = np.uint32(16)


class Threshold(NamedTuple):
    """The k-th smallest score: its value, and how many scores are below it."""

    value: np.float32
    below: int


def threshold(pieces: Callable[[], Iterable[Scores]], count: int) -> Threshold:
    """Return the `count`-th smallest score (from 1) over all pieces.

    Args:
        pieces: Gives the scores, finite float32 of any shapes; called twice.
        count: From 1 to the number of scores.
    """
    upper, below = _locate(_histogram(image >> _SHIFT for image in _images(pieces)), count)
    in_bucket = (image[image >> _SHIFT == upper] & _LOWER for image in _images(pieces))
    lower, below_in_bucket = _locate(_histogram(in_bucket), count - below)
    return Threshold(_value_of(upper * _HALF + lower), below + below_in_bucket)


def keep_mask(scores: Scores, pruned: int) -> Mask:
    """Return what stays when the `pruned` smallest scores go; among equals, those of lower index go first."""
    if pruned == 0:
        return np.ones(scores.shape, np.bool_)
    limit = threshold(lambda: [scores], pruned)
    mask: Mask = np.greater(scores, limit.value, order="C")  # so that the line below writes into it
    ties = np.flatnonzero(scores == limit.value)
    mask.reshape(-1)[ties[pruned - limit.below :]] = True
    return mask


def _images(pieces: Callable[[], Iterable[Scores]]) -> Iterator[npt.NDArray[np.uint32]]:
    """Yield chunks as integers of the same order: the sign bit flips, and negative numbers count backwards."""
    for piece in pieces():
        flat = piece.reshape(-1)
        for start in range(0, flat.size, _CHUNK):
            bits = (flat[start : start + _CHUNK] + np.float32(0)).view(np.uint32)  # + 0 makes -0 and 0 equal
            bits ^= np.where(bits >> 31, np.uint32(0xFFFF_FFFF), np.uint32(0x8000_0000))
            yield bits


def _histogram(halves: Iterable[npt.NDArray[np.uint32]]) -> npt.NDArray[np.int64]:
    counts = np.zeros(_HALF, np.int64)
    for half in halves:
        counts += np.bincount(half, minlength=_HALF)
    return counts


def _locate(counts: npt.NDArray[np.int64], count: int) -> tuple[int, int]:
    """Return the bucket of the `count`-th smallest, and how many are in the buckets before it."""
    totals = np.cumsum(counts)
    bucket = int(np.searchsorted(totals, count))
    return bucket, int(totals[bucket] - counts[bucket])


def _value_of(image: int) -> np.float32:
    bits = image ^ (0x8000_0000 if image >> 31 else 0xFFFF_FFFF)
    return np.uint32(bits).view(np.float32)
