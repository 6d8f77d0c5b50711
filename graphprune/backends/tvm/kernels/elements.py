"""The element types of a product. Kernels take them from here; a kernel that is for one of them only says so."""

from __future__ import annotations

from dataclasses import dataclass

import tvm

from graphprune.backends.tvm.kernels.builder import Machine

OF_BYTES = "_int8"
"""What the names of kernels for products of bytes end with."""


@dataclass(frozen=True)
class Elements:
    """TVM's names of the element types that a product reads, and that it sums in.

    Attributes:
        inputs: Of the activations.
        weight: Of the values of the weight.
        sums: Of the sums, before the epilogue turns them into outputs.
        channels: Neighbouring input channels that an element of either holds.
        dot: Which of the `DOTS` of `kernels/dot.py` multiplies them, where there are several.
    """

    inputs: str
    weight: str
    sums: str
    channels: int = 1
    dot: str = ""

    def kernel(self, name: str) -> str:
        """The name of a kernel for these elements."""
        return name if self.channels == 1 else f"{name}{OF_BYTES}"

    @property
    def input_bytes(self) -> int:
        """Bytes of an activation."""
        return itemsize(self.inputs)


FLOAT32 = Elements("float32", "float32", "float32")

MOST_IN_FLOAT32 = 1 << 24
"""Up to which every integer is a float32: sums that stay below are exact, in any order."""


def itemsize(dtype: str) -> int:
    """Bytes of an element of the type that TVM calls so."""
    return int(tvm.DataType(dtype).itemsize)


def lanes_of(machine: Machine, dtype: str) -> int:
    """Elements of this type in a vector."""
    return machine.lanes * 4 // itemsize(dtype)
