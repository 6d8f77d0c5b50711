"""Quantized constants: which integers of them stand for zero, and what all of them stand for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.analysis.constants import Reader, constant_tensor, readers


class _Place(NamedTuple):
    """Which inputs are a weight and its zero point."""

    weight: int
    zero_point: int


_WEIGHTS = {
    ("", "ConvInteger"): _Place(1, 3),
    ("", "MatMulInteger"): _Place(1, 3),
    ("", "QLinearConv"): _Place(3, 5),
    ("", "QLinearMatMul"): _Place(3, 5),
    ("com.microsoft", "DynamicQuantizeMatMul"): _Place(1, 3),
    ("com.microsoft", "MatMulIntegerToFloat"): _Place(1, 5),
    ("com.microsoft", "QGemm"): _Place(3, 5),
    ("com.microsoft", "QLinearConv"): _Place(3, 5),
}
_ROWS = {"ConvInteger", "QLinearConv"}
"""Those whose outputs are the first axis of the weight, and not the last."""


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


def zero_point_of(value: ir.Value) -> npt.NDArray[Any] | None:
    """Return which integers of a constant stand for zero, to broadcast to it; None of what is no quantized constant.

    It is dequantized, or products of integers read it, all by one zero point.
    """
    how = quantization_of(value)
    if how is not None:
        return how.zero_point
    found = [_product_zero_point(node, value) for node, _ in value.uses()]
    first = found[0] if found else None
    if first is None or any(each is None or not np.array_equal(each, first) for each in found):
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
    if scale is None or tensor is None:
        return None
    given = node.inputs[2] if len(node.inputs) > len("xs") else None
    zero = constant_tensor(given)
    if given is not None and zero is None:
        return None
    integers = np.zeros(1, tensor.dtype.numpy()) if zero is None else zero.numpy()
    axis, block = node.attributes.get_int("axis", 1), node.attributes.get_int("block_size", 0)
    shape = tuple(tensor.shape.numpy())
    return Quantization(*(_along(array, axis, block, shape) for array in (scale.numpy(), integers)))


def _product_zero_point(node: ir.Node, value: ir.Value) -> npt.NDArray[Any] | None:
    """That of the weight of a product of integers."""
    place, tensor = _WEIGHTS.get((node.domain, node.op_type)), constant_tensor(value)
    if place is None or tensor is None or value.is_graph_output() or node.inputs[place.weight] is not value:
        return None
    given = node.inputs[place.zero_point] if place.zero_point < len(node.inputs) else None
    zero = constant_tensor(given)
    if given is not None and zero is None:
        return None
    axis = 0 if node.op_type in _ROWS or node.attributes.get_int("transB", 0) == 1 else -1
    points = np.zeros(1, tensor.dtype.numpy()) if zero is None else zero.numpy()
    return points if points.ndim > 1 else _along(points, axis, 0, tuple(tensor.shape.numpy()))


def _along(array: npt.NDArray[Any], axis: int, block: int, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Lay one number, or one for each index of `axis` or each block of them, so that it broadcasts."""
    if array.size == 1:
        return array.reshape(())
    if block:
        return np.repeat(array, block, axis).take(range(shape[axis]), axis)
    return array.reshape(-1, *[1] * (len(shape) - 1 - axis % len(shape)))


def _equal(one: Quantization, other: Quantization) -> bool:
    return np.array_equal(one.scale, other.scale) and np.array_equal(one.zero_point, other.zero_point)
