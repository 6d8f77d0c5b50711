"""Where an output differs from the oracle's by more than rounding explains.

Results of exact operators are compared bit for bit. What rounding explains elsewhere was tried: a value comes with what
it is when every operator before it is off by a few units in the last place, and may differ by `MARGIN` times as much.
"""

from __future__ import annotations

import numpy as np

from benchmarks.random_graphs.draft import Value
from benchmarks.random_graphs.elements import is_float, largest, resolution, smallest

MARGIN = 16
"""Two tries do not find the worst case."""


def difference(ours: np.ndarray, value: Value) -> str | None:
    """What is wrong with `ours`, in a few words, or None."""
    expected = value.array
    if ours.shape != expected.shape or ours.dtype != expected.dtype:
        return f"{ours.dtype}{list(ours.shape)}, expected {expected.dtype}{list(expected.shape)}"
    if not is_float(expected.dtype):
        wrong = ours != expected
    else:
        eps, least = resolution(expected.dtype), smallest(expected.dtype)
        wide = (array.astype(np.float64) for array in (ours, *value.arrays))
        wrong = _wrong(*wide, eps=eps, least=least, most=largest(expected.dtype))
    if not np.any(wrong):
        return None
    at = tuple(int(n) for n in np.argwhere(wrong)[0])
    return f"{np.count_nonzero(wrong)} of {wrong.size}, at {list(at)} {ours[at]!s}, expected {expected[at]!s}"


def _wrong(
    ours: np.ndarray, expected: np.ndarray, *others: np.ndarray, eps: float, least: float, most: float
) -> np.ndarray:
    same = (ours == expected) | (np.isnan(ours) & np.isnan(expected))
    same |= np.isneginf(ours) & (expected == -most)  # which masks what minus infinity does
    if not others:
        return np.asarray(~same)
    with np.errstate(all="ignore"):
        apart = np.max([np.abs(other - expected) for other in others], axis=0)
        near = np.abs(ours - expected) <= MARGIN * (apart + eps * np.abs(expected) + least)
    unsettled = ~np.all([np.isfinite(other) == np.isfinite(expected) for other in others], axis=0)
    return np.asarray(~(same | near | unsettled))
