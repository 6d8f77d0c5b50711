"""Quantized constants: which integers of them stand for zero, and what all of them stand for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.analysis.constants import Reader, constant_tensor, readers


@dataclass(frozen=True)
class Quantization:
    """How integers stand for real numbers: `(integer - zero_point) * scale`.

    Attributes:
        scale: Floating-point, of a shape that broadcasts to the constant's.
        zero_point: Of the type of the constant, likewise.
    """

    scale: npt.NDArray[Any]
    zero_point: npt.NDArray[Any]

    def real(self, integers: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return what integers stand for, float32."""
        shifted = integers.astype(np.float32) - self.zero_point.astype(np.float32)
        return np.asarray(shifted * self.scale.astype(np.float32), np.float32)


def quantization_of(value: ir.Value) -> Quantization | None:
    """Return how a constant is quantized: its one DequantizeLinear says it, all of them alike; else None."""
    found = [_parameters(node, value) for node in dict.fromkeys(node for node, _ in value.uses())]
    first = found[0] if found else None
    if first is None or any(each is None or not _equal(each, first) for each in found):
        return None
    return first


def dequantized_readers(value: ir.Value, rank: int) -> Iterator[Reader | None]:
    """Yield who reads a constant, as `readers`, or who reads what it stands for if it is quantized."""
    perm = tuple(range(rank))
    if quantization_of(value) is None:
        yield from readers(value, perm)
        return
    for node in dict.fromkeys(node for node, _ in value.uses()):
        yield from readers(node.outputs[0], perm)


def _parameters(node: ir.Node, value: ir.Value) -> Quantization | None:
    if node.domain or node.op_type != "DequantizeLinear" or node.inputs[0] is not value or value.is_graph_output():
        return None
    scale, tensor = constant_tensor(node.inputs[1]), constant_tensor(value)
    if scale is None or tensor is None or node.attributes.get_int("block_size", 0) != 0:
        return None
    given = node.inputs[2] if len(node.inputs) > len("xs") else None
    zero = constant_tensor(given)
    if given is not None and zero is None:
        return None
    integers = np.zeros(1, tensor.dtype.numpy()) if zero is None else zero.numpy()
    axis = node.attributes.get_int("axis", 1)
    return Quantization(*(_along(array, axis, tensor.shape.rank()) for array in (scale.numpy(), integers)))


def _along(array: npt.NDArray[Any], axis: int, rank: int) -> npt.NDArray[Any]:
    """Lay one number, or one for each index of `axis`, so that it broadcasts."""
    return array.reshape(()) if array.size == 1 else array.reshape(-1, *[1] * (rank - 1 - axis % rank))


def _equal(one: Quantization, other: Quantization) -> bool:
    return np.array_equal(one.scale, other.scale) and np.array_equal(one.zero_point, other.zero_point)
