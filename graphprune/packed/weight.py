"""The base class of all packed forms of a weight."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy.typing as npt

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


class PackedWeight(abc.ABC):
    """A weight as a packed call holds it; a subclass is one layout.

    Attributes:
        name: What messages call the layout.
        prefix: What stands before the operator in the name of a call.
        tensors: Its arrays, inputs 1, 2, ... of a call; an initializer is called `<weight>_<tensor>`.
        numbers: The integers that a call has as attributes, besides `weight_shape`.
        decode: ONNX text that makes `weight`, of `weight_shape`, of the tensors and the attributes. It is valid from
            operator set 16 on, and does not fix the floating-point type.
        shape: The dense shape: [M, C, *kernel] of a convolution, [output features, inputs] of a product.
    """

    name: ClassVar[str]
    prefix: ClassVar[str]
    tensors: ClassVar[tuple[str, ...]]
    numbers: ClassVar[tuple[str, ...]]
    decode: ClassVar[str]
    shape: Shape

    @classmethod
    @abc.abstractmethod
    def read(cls, arrays: Sequence[Array], numbers: Sequence[int], shape: Shape) -> Self:
        """Put together what a call holds, in the order of `tensors` and `numbers`; it may be damaged."""

    @property
    @abc.abstractmethod
    def layout(self) -> str:
        """The text form of the layout, as the option of `pack-weights` has it."""

    @property
    @abc.abstractmethod
    def arrays(self) -> tuple[Array, ...]:
        """The arrays in the order of `tensors`."""

    @property
    def attributes(self) -> dict[str, int]:
        """The numbers by name."""
        return {}

    @abc.abstractmethod
    def find_defect(self) -> str | None:
        """Return what is wrong with the arrays, in one line, or None; no index is followed."""

    @abc.abstractmethod
    def dense(self) -> Array:
        """Return the weight, of `shape`.

        Raises:
            InputError: It is damaged (GP331).
        """

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(array.nbytes for array in self.arrays)


def matrix_shape(shape: Shape) -> tuple[int, int]:
    """Return [outputs, everything else]."""
    return shape[0], math.prod(shape[1:])
