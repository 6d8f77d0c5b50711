"""The output and input axes of a weight: patterns, masks and layouts see it as [outputs, positions, inputs]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

    ArrayT = TypeVar("ArrayT", npt.NDArray[Any], torch.Tensor)


@dataclass(frozen=True)
class WeightAxes:
    """The axes of a stored weight; those that are not named are kernel positions.

    Attributes:
        output: The axis that counts output features.
        input: The axis that counts input channels.
    """

    output: int = 0
    input: int = 1

    def order(self, rank: int) -> tuple[int, ...]:
        """Return the axes of a weight of that rank as output, positions, input."""
        return (self.output, *self._positions(rank), self.input)

    def rows(self, weight: ArrayT) -> ArrayT:
        """Return a NumPy array or a torch tensor as [outputs, positions, inputs]; a matrix has one position."""
        return _permuted(weight, self.order(len(weight.shape))).reshape(self.rows_shape(weight.shape))

    def rows_shape(self, shape: Sequence[int]) -> tuple[int, int, int]:
        """Return the shape that `rows` gives a weight of that shape."""
        positions = math.prod(shape[axis] for axis in self._positions(len(shape)))
        return shape[self.output], positions, shape[self.input]

    def restore(self, rows: ArrayT, shape: Sequence[int]) -> ArrayT:
        """Return what `rows` made of a weight of that shape in its stored order."""
        order = self.order(len(shape))
        stored = tuple(order.index(axis) for axis in range(len(shape)))
        return _permuted(rows.reshape(tuple(shape[axis] for axis in order)), stored)

    def _positions(self, rank: int) -> tuple[int, ...]:
        return tuple(axis for axis in range(rank) if axis not in {self.output, self.input})


def _permuted(array: ArrayT, order: tuple[int, ...]) -> ArrayT:
    stored: Any = array
    permute = stored.permute if hasattr(stored, "permute") else stored.transpose  # torch's transpose swaps two axes
    permuted: ArrayT = permute(order)
    return permuted
