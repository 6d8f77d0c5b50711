"""What a layer multiplies, summed up over samples: means, and first and second moments of its inputs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from graphprune.errors import InputError
from graphprune.masks.second_order import DAMPING, inverse_factor

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.floating]

_ROWS = 4096
"""Rows that are widened to float64 at once."""

_KEPT_ROWS = 16
"""Rows that are kept of each matrix, spread over it."""

HELD = 4
"""One of so many samples is held back where a damping is chosen."""


class InputMoments:
    """Sums over the rows of matrices [rows, columns], in float64.

    Single rows may be ten thousand times larger than others, so that float32 would lose these.

    Attributes:
        rows: How many there were.
        total: The sum of the rows, [columns].
        squares: The sum of their squares, [columns].
        products: The sum of the products of any two columns, [columns, columns]; None where it is not needed.
        some: Some of the rows themselves, on which errors are measured.
        held: The same of samples that are held back, which are part of all; None where there are none.
    """

    def __init__(self, columns: int, *, products: bool) -> None:
        """Begin with no rows."""
        self.rows = 0
        self.total: Floats = np.zeros(columns)
        self.squares: Floats = np.zeros(columns)
        self.products: Floats | None = np.zeros((columns, columns)) if products else None
        self.some: list[Matrix] = []
        self.held: InputMoments | None = None
        self._factors: dict[tuple[bool, float], Floats] = {}

    def add(self, matrix: Matrix) -> None:
        """Add the rows of a matrix."""
        self.some.append(_some(matrix))
        for part in _wide(matrix):
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
    def sums(self) -> Floats:
        """The mean over the matrices of the sums of their rows, [columns]."""
        return self.total / max(1, len(self.some))

    @property
    def variance(self) -> Floats:
        """The variance of each column, no less than 0, [columns]."""
        return np.maximum(self.squares / max(1, self.rows) - np.square(self.mean), 0.0)

    @property
    def norms(self) -> Floats:
        """The root of the mean of the squares, [columns]."""
        return np.sqrt(self.squares / max(1, self.rows))

    def second(self, *, centred: bool) -> Floats:
        """Return the mean products of any two columns, around their means if `centred`, [columns, columns]."""
        assert self.products is not None, "they were not asked for"
        found = self.products / max(1, self.rows)
        if centred:
            found -= np.outer(self.mean, self.mean)
        return found

    def without(self, part: InputMoments) -> InputMoments:
        """Return the sums without those of some samples; no rows are kept."""
        assert self.products is not None, "they were not asked for"
        assert part.products is not None, "likewise"
        found = InputMoments(len(self.total), products=True)
        found.rows, found.total = self.rows - part.rows, self.total - part.total
        found.products = self.products - part.products
        found.squares = np.diagonal(found.products)
        return found

    def factor(self, *, centred: bool, damping: float = DAMPING) -> Floats:
        """Return that of the inverse of `second`, see `graphprune.masks.second_order`, when all rows are added.

        Raises:
            InputError: GP582.
        """
        if (key := (centred, damping)) not in self._factors:
            self._factors = {key: inverse_factor(self.second(centred=centred), damping)}
        return self._factors[key]


class DriftMoments:
    """What rows were in the dense model beyond what they are now, with what they are now.

    Attributes:
        total: The sum of the differences, [columns].
        products: The sum of the products of each difference with each column as it is now, [columns, columns].
        some: Some of the rows of the dense model, those that `InputMoments` keeps of the others.
        held: The same of samples that are held back, as `InputMoments` has them.
    """

    def __init__(self, columns: int) -> None:
        """Begin with no rows."""
        self.total: Floats = np.zeros(columns)
        self.products: Floats = np.zeros((columns, columns))
        self.some: list[Matrix] = []
        self.held: DriftMoments | None = None

    def add(self, dense: Matrix, now: Matrix) -> None:
        """Add the rows of a matrix, as they were and as they are."""
        self.some.append(_some(dense))
        for one, other in zip(_wide(dense), _wide(now), strict=True):
            self.total += (one - other).sum(axis=0)
            self.products += (one - other).T @ other

    def second(self, moments: InputMoments, *, centred: bool) -> Floats:
        """Return the mean products, around the means if `centred`, [columns, columns]."""
        found = self.products / max(1, moments.rows)
        return found - np.outer(self.mean(moments), moments.mean) if centred else found

    def without(self, part: DriftMoments) -> DriftMoments:
        """Return the sums without those of some samples; no rows are kept."""
        found = DriftMoments(len(self.total))
        found.total, found.products = self.total - part.total, self.products - part.products
        return found

    def mean(self, moments: InputMoments) -> Floats:
        """Return the mean difference, [columns]; the moments are those of the rows as they are now."""
        return self.total / max(1, moments.rows)


def _some(matrix: Matrix) -> Matrix:
    return matrix[:: max(1, len(matrix) // _KEPT_ROWS)][:_KEPT_ROWS].copy()


def _wide(matrix: Matrix) -> Iterable[Floats]:
    return (matrix[start : start + _ROWS].astype(np.float64) for start in range(0, len(matrix), _ROWS))


def is_held(sample: int) -> bool:
    """Return whether a sample is held back."""
    return sample % HELD == HELD - 1


def gather(matrices: Iterable[list[Matrix]], where: str, *, products: bool, held: bool = False) -> list[InputMoments]:
    """Return the moments over samples, for each group of a layer.

    Args:
        matrices: Of each sample, the rows of each group.
        where: What the layer is called in messages.
        products: Whether those of any two columns are needed.
        held: Whether those of samples that are held back are needed for themselves too.

    Raises:
        InputError: A value is NaN or infinite (GP581).
    """
    found: list[InputMoments] = []
    for sample, groups in enumerate(matrices):
        found = found or [InputMoments(group.shape[1], products=products) for group in groups]
        for moments, group in zip(found, groups, strict=True):
            moments.add(group)
            if held and is_held(sample):
                moments.held = moments.held or InputMoments(group.shape[1], products=products)
                moments.held.add(group)
        if not all(np.isfinite(moments.squares).all() for moments in found):
            raise InputError(f"{where}: its input is NaN or infinite on sample {sample}", code="GP581")
    return found


def gather_drift(
    dense: Iterable[list[Matrix]], now: Iterable[list[Matrix]], *, held: bool = False
) -> list[DriftMoments]:
    """Return how rows differ from those of the dense model over samples, for each group of a layer; see `gather`."""
    found: list[DriftMoments] = []
    for sample, (one, other) in enumerate(zip(dense, now, strict=True)):
        found = found or [DriftMoments(group.shape[1]) for group in one]
        for drift, *pair in zip(found, one, other, strict=True):
            drift.add(*pair)
            if held and is_held(sample):
                drift.held = drift.held or DriftMoments(pair[0].shape[1])
                drift.held.add(*pair)
    return found
