"""What a layer multiplies, summed up over samples: means, and first and second moments of its inputs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np
import numpy.typing as npt

from graphprune.errors import InputError
from graphprune.masks.second_order import inverse_factor

Floats = npt.NDArray[np.float64]

_ROWS = 4096
"""Rows that are widened to float64 at once."""

_KEPT_ROWS = 16
"""Rows that are kept of each matrix, spread over it."""


class InputMoments:
    """Sums over the rows of matrices [rows, columns], in float64.

    Single rows may be ten thousand times larger than others, so that float32 would lose these.

    Attributes:
        rows: How many there were.
        total: The sum of the rows, [columns].
        squares: The sum of their squares, [columns].
        products: The sum of the products of any two columns, [columns, columns]; None where it is not needed.
        some: Some of the rows themselves, on which errors are measured.
    """

    def __init__(self, columns: int, *, products: bool) -> None:
        """Begin with no rows."""
        self.rows = 0
        self.total: Floats = np.zeros(columns)
        self.squares: Floats = np.zeros(columns)
        self.products: Floats | None = np.zeros((columns, columns)) if products else None
        self.some: list[npt.NDArray[np.floating]] = []

    def add(self, matrix: npt.NDArray[np.floating]) -> None:
        """Add the rows of a matrix."""
        self.some.append(matrix[:: max(1, len(matrix) // _KEPT_ROWS)][:_KEPT_ROWS].copy())
        for start in range(0, len(matrix), _ROWS):
            part = matrix[start : start + _ROWS].astype(np.float64)
            self.rows += len(part)
            self.total += part.sum(axis=0)
            if self.products is None:
                self.squares += np.einsum("ij,ij->j", part, part)
            else:
                self.products += part.T @ part
        if self.products is not None:
            self.squares = np.diagonal(self.products)

    @property
    def mean(self) -> Floats:
        """The mean row, [columns]."""
        return self.total / max(1, self.rows)

    @property
    def norms(self) -> Floats:
        """The root of the mean of the squares, [columns]."""
        return np.sqrt(self.squares / max(1, self.rows))

    @property
    def second(self) -> Floats:
        """The mean products of any two columns, [columns, columns]."""
        assert self.products is not None, "they were not asked for"
        return self.products / max(1, self.rows)

    @cached_property
    def factor(self) -> Floats:
        """That of the inverse of `second`, see `graphprune.masks.second_order`, when all rows are added.

        Raises:
            InputError: GP582.
        """
        return inverse_factor(self.second)


def output_error(moments: InputMoments, exact: Floats, other: Floats, shift: Floats) -> tuple[float, float]:
    """Return the sum of the squares of what outputs differ by on some rows, and of the outputs themselves.

    Args:
        moments: Of the inputs.
        exact: The weights [outputs, columns].
        other: Those that take their place.
        shift: What is added to each output of these.
    """
    rows = np.concatenate(moments.some).astype(np.float64)
    return float(np.square(rows @ (other - exact).T + shift).sum()), float(np.square(rows @ exact.T).sum())


def gather(matrices: Iterable[list[npt.NDArray[np.floating]]], where: str, *, products: bool) -> list[InputMoments]:
    """Return the moments over samples, for each group of a layer.

    Args:
        matrices: Of each sample, the rows of each group.
        where: What the layer is called in messages.
        products: Whether those of any two columns are needed.

    Raises:
        InputError: A value is NaN or infinite (GP581).
    """
    found: list[InputMoments] = []
    for sample, groups in enumerate(matrices):
        found = found or [InputMoments(group.shape[1], products=products) for group in groups]
        for moments, group in zip(found, groups, strict=True):
            moments.add(group)
        if not all(np.isfinite(moments.squares).all() for moments in found):
            raise InputError(f"{where}: its input is NaN or infinite on sample {sample}", code="GP581")
    return found
