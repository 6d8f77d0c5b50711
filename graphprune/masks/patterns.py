"""Patterns: which sets of weights may go together. A pattern selects by score and knows no graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from graphprune.errors import RecipeError
from graphprune.masks.selection import Mask, Scores, keep_mask


class Pattern(Protocol):
    """How zeros may be placed; its `str` is its text form, read by `parse_pattern`."""

    def pruned_count(self, shape: Sequence[int], sparsity: float) -> int:
        """Return how many of the weights of `shape` go at `sparsity` (a share in [0, 1))."""

    def keep_mask(self, scores: Scores, pruned: int) -> Mask:
        """Return what stays, of the shape of `scores`, with exactly `pruned` False entries."""


@dataclass(frozen=True)
class Unstructured:
    """Zeros anywhere: the lowest scores go; among equals, those of lower index first."""

    def pruned_count(self, shape: Sequence[int], sparsity: float) -> int:
        """Return the share of the weights, rounded to the nearest whole number."""
        return round(math.prod(shape) * sparsity)

    def keep_mask(self, scores: Scores, pruned: int) -> Mask:
        """Return what stays, with exactly `pruned` False entries."""
        return keep_mask(scores, pruned)

    def __str__(self) -> str:
        return "unstructured"


def parse_pattern(text: str) -> Pattern:
    """Return the pattern whose text form is `text`.

    Raises:
        RecipeError: There is none (GP327).
    """
    if text == str(Unstructured()):
        return Unstructured()
    raise RecipeError(f"unknown pattern '{text}', expected 'unstructured'", code="GP327")
