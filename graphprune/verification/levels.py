"""The difference between two arrays of integers that both sides rounded floats to, counted in levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphprune.verification.roundings import Precision

_MOST = 1
"""By how many levels an element may differ: rounding the other way is one."""

_FEW = 3
"""How many elements of a value may differ however few it has."""

SHARE = 0.001
"""Of the elements, how many more may differ where it is not known how near they are to a tie."""


@dataclass(frozen=True)
class LevelDifference:
    """What one value differs by.

    Attributes:
        elements: How many it has.
        differing: How many of them differ.
        most_levels: By how many levels at most.
        reason: What is wrong; None where all is as ties explain it.
    """

    elements: int
    differing: int = 0
    most_levels: int = 0
    reason: str | None = None


@dataclass(frozen=True)
class Before:
    """What the reference rounds, in levels, and how precisely it is known."""

    levels: np.ndarray
    precision: Precision


def compare_levels(expected: np.ndarray, actual: np.ndarray, before: Before | None = None) -> LevelDifference:
    """Compare integers: at most one level, in few elements, and over a tie that is near if that is known.

    Args:
        expected: The reference's.
        actual: The candidate's, of the same type.
        before: What `expected` was before it was rounded.
    """
    size = expected.size
    if actual.shape != expected.shape:
        reason = f"has shape {list(actual.shape)}, expected {list(expected.shape)}"
        return LevelDifference(size, size, reason=reason)
    steps = actual.astype(np.int64) - expected
    differing, most = int(np.count_nonzero(steps)), int(np.abs(steps).max(initial=0))
    return LevelDifference(size, differing, most, _reason(steps, differing, most, before))


def _reason(steps: np.ndarray, differing: int, most: int, before: Before | None) -> str | None:
    if most > _MOST:
        return f"differs in {differing} of {steps.size} elements, by up to {most} levels"
    far, tied = (0, int(SHARE * steps.size)) if before is None else _far_and_tied(steps, before)
    if far:
        return f"differs by one level in {far} of {steps.size} elements that are near no tie"
    if differing > _FEW + tied:
        return f"differs by one level in {differing} of {steps.size} elements, where ties explain {tied}"
    return None


def _far_and_tied(steps: np.ndarray, before: Before) -> tuple[int, int]:
    """How many elements differ though no tie is near, and how many lie at a tie as well as that is known."""
    distance = 0.5 - np.abs(before.levels - np.rint(before.levels))
    far = (steps != 0) & (distance > before.precision.window)
    return int(np.count_nonzero(far)), int(np.count_nonzero(distance <= before.precision.near))
