"""Pruning by second order: which weights of a layer go, and what the others become so that its outputs stay.

Frantar and Alistarh 2023, "SparseGPT: Massive Language Models Can be Accurately Pruned in One-Shot", algorithm 1:
columns are visited once, from the first to the last. Of each the error of what goes is spread over the columns behind
it, as the inverse of the inputs' second moments says. Weights are [outputs, positions, inputs], see `WeightAxes.rows`;
their columns are positions and inputs together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg.lapack import dpotrf, dtrtri

from graphprune.errors import InputError
from graphprune.masks.axes import WeightAxes
from graphprune.masks.patterns import NM, Pattern

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

BLOCK = 128
"""Columns whose errors are spread over all later ones at once."""

DAMPING = 0.01
"""The share of the mean diagonal that is added to it."""

_ROWS = WeightAxes(0, 2)


def inverse_factor(moments: Floats, damping: float = DAMPING) -> Floats:
    """Return the upper triangular U with `U^T U` the inverse of the damped second moments.

    Inputs that are always zero count as if they were independent of the others, with a moment of one.

    Args:
        moments: Symmetric, of whole inputs, [columns, columns]; the factor takes their place in memory, as both of a
            layer of ten thousand inputs would be gigabytes.
        damping: The share of the mean diagonal that is added to it.

    Raises:
        InputError: Not even so are they positive definite (GP582).
    """
    assert moments.flags.c_contiguous, "LAPACK would work on a copy"
    diagonal = np.einsum("ii->i", moments)
    diagonal[diagonal == 0] = 1
    diagonal += damping * diagonal.mean()
    _reverse(moments)
    # LAPACK sees the transposed matrix. With the order of columns reversed, a lower factor is an upper one.
    _, singular = dpotrf(moments.T, lower=0, overwrite_a=1)
    if singular:
        message = f"second moments of {len(moments)} inputs are singular with {damping:g} of their mean added"
        raise InputError(f"{message}; give more samples, or a larger damping", code="GP582")
    dtrtri(moments.T, lower=0, overwrite_c=1)
    _reverse(moments)
    return moments


def _reverse(matrix: Floats) -> None:
    """Reverse the order of rows and of columns in place."""
    for first in range((len(matrix) + 1) // 2):
        last = len(matrix) - 1 - first
        matrix[[first, last]] = matrix[[last, first], ::-1]


@dataclass
class _Sweep:
    """The state of one visit of all columns.

    Attributes:
        weight: [outputs, columns], changed as it goes.
        factor: See `inverse_factor`.
        shape: Outputs, positions and inputs.
        pattern: Where zeros may be.
        pruned: How many elements are zero in the end.
    """

    weight: Floats
    factor: Floats
    shape: tuple[int, int, int]
    pattern: Pattern
    pruned: int
    gone: int = 0

    def run(self) -> None:
        """Visit the columns in blocks."""
        for start, stop in _blocks(self.shape[1], self.shape[2], self.pattern.width):
            errors = np.empty((len(self.weight), stop - start))
            step = self.pattern.width if isinstance(self.pattern, NM) else stop - start
            for first in self._choices(start, stop, step):
                keep = self._choose(*first)
                for column in range(*first):
                    errors[:, column - start] = self._visit(column, keep[:, column - first[0]], stop)
            self.weight[:, stop:] -= errors @ self.factor[start:stop, stop:]

    def _choices(self, start: int, stop: int, step: int) -> Iterator[tuple[int, int]]:
        """Columns whose mask is chosen at once; a group of inputs never goes on at the next position."""
        inputs = self.shape[2]
        while start < stop:
            position_end = start + inputs - start % inputs
            end = min(start + step, stop) if step >= inputs else min(start + step, stop, position_end)
            yield start, end
            start = end

    def _choose(self, start: int, stop: int) -> Mask:
        """What stays of these columns, as their weights are by now, [outputs, columns]."""
        outputs, positions, inputs = self.shape
        scores = np.abs(self.weight[:, start:stop] / np.diagonal(self.factor)[start:stop]).astype(np.float32)
        rows = scores.reshape(outputs, -1, min(inputs, stop - start))
        due = self.pruned * stop / (positions * inputs) - self.gone
        count = self.pattern.pruned_count(rows.shape, _ROWS, min(1.0, max(0.0, due / scores.size)))
        self.gone += count
        return self.pattern.keep_mask(rows, _ROWS, count).reshape(scores.shape)

    def _visit(self, column: int, keep: Mask, stop: int) -> Floats:
        """Set a column to what stays of it; the error, by its share of the factor, goes to others of the block."""
        values, scale = self.weight[:, column].copy(), self.factor[column, column]
        error = np.where(keep, 0.0, values) / scale
        self.weight[:, column] = np.where(keep, values, 0.0)
        self.weight[:, column + 1 : stop] -= np.outer(error, self.factor[column, column + 1 : stop])
        return np.asarray(error)


def prune_by_second_order(rows: Floats, factor: Floats, pattern: Pattern, pruned: int, alive: Mask) -> Floats:
    """Return the weights that are left, and take the place of those that went, [outputs, positions, inputs].

    Args:
        rows: The weights; left alone.
        factor: See `inverse_factor`; of as many columns as `rows` has.
        pattern: Where zeros may be.
        pruned: How many elements go; the share is the same in each block of columns, and of units of a pattern as
            close as whole ones come.
        alive: Which columns multiply something other than zeros; weights of the others go first.
    """
    outputs, positions, inputs = rows.shape
    weight: Floats = rows.reshape(outputs, -1) * alive
    _Sweep(weight, factor, (outputs, positions, inputs), pattern, pruned).run()
    return weight.reshape(rows.shape)


def _blocks(positions: int, inputs: int, width: int) -> Iterator[tuple[int, int]]:
    """Ranges of about `BLOCK` columns: whole positions, or whole units of one position."""
    if inputs <= BLOCK:
        step = BLOCK // inputs * inputs
        yield from ((start, min(start + step, positions * inputs)) for start in range(0, positions * inputs, step))
        return
    step = max(1, BLOCK // width) * width
    for position in range(0, positions * inputs, inputs):
        for start in range(0, inputs, step):
            yield position + start, position + min(start + step, inputs)
