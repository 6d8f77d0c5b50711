"""Refinement of masks: zeros change places until the mean of each output is close to what it was.

Zhang et al. 2024, "Dynamic Sparse No Training: Training-Free Fine-Tuning for Sparse LLMs" (DSnoT), algorithm 1. A cycle
makes one swap in each output: a weight grows back whose contribution to the mean was lost, and one goes whose
contribution has the other sign. Weights are [outputs, positions, inputs], see `WeightAxes.rows`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from graphprune.masks.patterns import NM, Pattern, Unstructured

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

CYCLES = 50
"""The most swaps of an output."""

CLOSE = 0.1
"""Where an output stops: what its sum over a sample is allowed to be off by."""

_ROWS = 512
"""Outputs that are refined at once, so that what is computed of them stays small."""


class Refinement(StrEnum):
    """What is done to a mask before the weights that stay are repaired."""

    DSNOT = "dsnot"


class InputStatistics(NamedTuple):
    """What is known of the columns that a weight multiplies.

    Attributes:
        sums: Over the positions of a sample, in the mean over samples, [columns].
        variances: [columns].
        norms: [columns].
    """

    sums: Floats
    variances: Floats
    norms: Floats


_Choice = Callable[[Indices, Indices, Indices, Indices], tuple[Indices, Mask]]
"""From outputs, their sides (0 where they lack something, 1 where they have too much), how often they swapped on that
side, and what grows: what goes, and where it can."""


def why_not_refined(pattern: Pattern) -> str | None:
    """Return why outputs cannot swap zeros by themselves, or None where they can."""
    if isinstance(pattern, Unstructured) or (isinstance(pattern, NM) and pattern.outputs == 1):
        return None
    return f"ties zeros of several elements or outputs together (pattern '{pattern}')"


def refine(start: Floats, target: Floats, keep: Mask, inputs: InputStatistics, pattern: Pattern) -> Mask:
    """Return what stays after swaps, of the shape of `start`, with as many True entries in each output.

    What grows has the largest share of the lost mean over the variance of its input, and what goes the least magnitude
    times norm of those with the other sign. An output stops for good when the sum over a sample is off by no more than
    `CLOSE`, and when nothing is left to swap. In N:M groups what goes is of the group of what grows, whatever its sign,
    and an output stops too before the sign of what it is off by changes.

    Args:
        start: The weights, zero where they do not stay, [outputs, positions, inputs].
        target: What a weight becomes that grows, and what outputs are compared with, likewise.
        keep: What stays, likewise; left alone.
        inputs: Of as many columns as `start` has.
        pattern: Where zeros may be, one of which `why_not_refined` returns None.
    """
    parts = [slice(first, first + _ROWS) for first in range(0, len(start), _ROWS)]
    return np.concatenate([_refined(start[part], target[part], keep[part], inputs, pattern) for part in parts])


def _refined(start: Floats, target: Floats, keep: Mask, inputs: InputStatistics, pattern: Pattern) -> Mask:
    flat = len(start), math.prod(start.shape[1:])
    weight, wanted, kept = start.reshape(flat), target.reshape(flat), keep.reshape(flat).copy()
    shares = np.where(kept, weight, wanted) * inputs.sums
    scores = np.where(kept, np.abs(weight) * inputs.norms, np.inf)
    groups = _members(start.shape[1:], pattern.of) if isinstance(pattern, NM) else None
    chosen = _from_row(scores, shares) if groups is None else _from_group(scores, groups)
    lost = ((wanted - weight) * inputs.sums).sum(axis=1)
    growing = np.where(kept, 0.0, shares / _divisors(inputs))
    _swap(kept, lost, shares, growing, chosen, same_sign=groups is not None)
    return kept.reshape(keep.shape)


def _divisors(inputs: InputStatistics) -> Floats:
    """Variances, no less than their rounding errors; an input that is always zero has no share of anything."""
    floor = np.finfo(np.float64).eps * np.square(inputs.norms)
    return np.maximum(np.maximum(inputs.variances, floor), np.finfo(np.float64).tiny)


def _swap(kept: Mask, lost: Floats, shares: Floats, growing: Floats, chosen: _Choice, *, same_sign: bool) -> None:
    """Swap entries of `kept`, at most `CYCLES` times in each output."""
    candidates = np.stack([_lowest(-growing), _lowest(growing)])
    first, swaps = np.sign(lost), np.zeros((2, len(lost)), np.int64)
    rows = np.flatnonzero(np.abs(lost) > CLOSE)
    for _ in range(candidates.shape[2]):
        side = (lost[rows] < 0).astype(np.int64)
        at = swaps[side, rows]
        grown = candidates[side, rows, at]
        gone, able = chosen(rows, side, at, grown)
        able &= growing[rows, grown] * (1 - 2 * side) > 0
        after = lost[rows] + shares[rows, gone] - shares[rows, grown]
        able &= (np.sign(after) == first[rows]) | (not same_sign)
        rows, side, grown, gone = rows[able], side[able], grown[able], gone[able]
        kept[rows, grown], kept[rows, gone] = True, False
        lost[rows] = after[able]
        swaps[side, rows] += 1
        rows = rows[np.abs(lost[rows]) > CLOSE]


def _from_row(scores: Floats, shares: Floats) -> _Choice:
    """What goes is what is worth least of the other sign."""
    ranked = np.stack([np.where(signed, scores, np.inf) for signed in (shares < 0, shares > 0)])
    order = np.stack([_lowest(each) for each in ranked])

    def choose(rows: Indices, side: Indices, at: Indices, grown: Indices) -> tuple[Indices, Mask]:  # noqa: ARG001
        gone = order[side, rows, at]
        return gone, np.isfinite(ranked[side, rows, gone])

    return choose


def _from_group(scores: Floats, members: Indices) -> _Choice:
    """What goes is what is worth least in the group of what grows, each but once; `scores` is written."""
    group = np.empty(scores.shape[1], np.int64)
    for place in members.T:
        group[place] = np.arange(len(members))

    def choose(rows: Indices, side: Indices, at: Indices, grown: Indices) -> tuple[Indices, Mask]:  # noqa: ARG001
        among = members[group[grown]]
        best = scores[rows[:, np.newaxis], among].argmin(axis=1)
        gone = among[np.arange(len(rows)), best]
        able = np.isfinite(scores[rows, gone])
        scores[rows, gone] = np.inf
        return gone, able

    return choose


def _members(shape: tuple[int, ...], of: int) -> Indices:
    """The columns of each group, [groups, of]; the last group of a position repeats its last column."""
    positions, inputs = shape
    within = np.minimum(np.arange(-(-inputs // of) * of), inputs - 1).reshape(1, -1, of)
    return (np.arange(positions).reshape(-1, 1, 1) * inputs + within).reshape(-1, of)


def _lowest(values: Floats) -> Indices:
    """The columns of the `CYCLES` lowest values of each row, the lowest first."""
    most = min(CYCLES, values.shape[1])
    some = np.sort(np.argpartition(values, most - 1, axis=1)[:, :most], axis=1)
    order = np.argsort(np.take_along_axis(values, some, axis=1), axis=1, kind="stable")
    found: Indices = np.take_along_axis(some, order, axis=1)
    return found
