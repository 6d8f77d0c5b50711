"""Reads the arithmetic of quantizers: `clip(round(x / scale) + zero_point, low, high)`, and what undoes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.passes.folding import Folder

TYPES = (ir.DataType.UINT8, ir.DataType.INT8)
_WIDE = (ir.DataType.INT32, ir.DataType.INT64)
_BOUNDS = ("Clip", "Max", "Min")
_NO_BOUND = float("inf")


class Axis(NamedTuple):
    """Numbers along one axis of a tensor, or a single one (axis 0)."""

    values: npt.NDArray[np.float32]
    axis: int

    @property
    def is_whole(self) -> bool:
        """Whether all are whole numbers."""
        return bool((self.values == np.rint(self.values)).all())

    def meets(self, other: Axis) -> bool:
        """Return whether both are along one axis, or one of them is a single number."""
        return self.axis == other.axis or 0 in (self.values.ndim, other.values.ndim)

    def same(self, other: Axis | None) -> bool:
        """Return whether the other one holds the same numbers."""
        return other is not None and self.axis == other.axis and np.array_equal(self.values, other.values)


def limits(dtype: ir.DataType) -> tuple[int, int]:
    """Return the least and the largest integer of a type."""
    found = np.iinfo(dtype.numpy())
    return int(found.min), int(found.max)


ZERO = Axis(np.zeros((), np.float32), 0)


@dataclass(frozen=True)
class Levels:
    """What `end` holds: `clip(round(x / scale) + zero_point, low, high)`."""

    x: ir.Value
    end: ir.Value
    scale: Axis
    zero_point: Axis
    low: float
    high: float

    def fit(self, dtype: ir.DataType) -> bool:
        """Return whether integers of `dtype` hold all levels, and the zero point."""
        (lowest, highest), points = limits(dtype), self.zero_point.values
        ends = (self.low, self.high, points.min(), points.max())
        return bool(lowest <= min(ends) and max(ends) <= highest)


def levels_of(rounding: ir.Node, folder: Folder) -> Levels | None:
    """Read what is around a Round of float32: a division, a zero point and bounds, in the orders that mean the same."""
    inner, low, high = _unbounded(rounding.inputs[0], folder)
    added = _added(inner, folder)
    divided, point = added or (inner, None)
    division = divided.producer()
    x = division.inputs[0] if division is not None and division.op_type == "Div" else None
    scale = None if division is None or x is None else _axis(division, 1, x, folder)
    if x is None or scale is None or x.dtype != ir.DataType.FLOAT or not _are_scales(scale):
        return None
    found = Levels(x, rounding.outputs[0], scale, point or ZERO, low, high)
    if point is None and np.isinf((low, high)).all():
        found = _with_point(found, folder)
    for bounded, low, high in _bounds(found.end, folder):
        found = replace(found, end=bounded, low=max(found.low, low), high=min(found.high, high))
    return found if scale.meets(found.zero_point) else None


def stored(levels: Levels) -> ir.Node | None:
    """Return the Cast by which levels become integers of 8 bits, perhaps over wider ones."""
    cast = _reader(levels.end, "Cast")
    while cast is not None and cast.outputs[0].dtype in _WIDE:
        cast = _reader(cast.outputs[0], "Cast")
    dtype = None if cast is None else cast.outputs[0].dtype
    return cast if dtype in TYPES and levels.fit(dtype) else None


def products_of(levels: Levels, folder: Folder) -> list[ir.Node]:
    """Return the products of the levels, less their zero point, by their scale, if nothing else reads them."""
    end = levels.end
    taken = _reader(end, "Sub")
    if taken is not None and taken.inputs[0] is end and levels.zero_point.same(_axis(taken, 1, end, folder)):
        end = taken.outputs[0]
    elif levels.zero_point.values.any():
        return []
    readers = [node for node, _ in end.uses()]
    factors = [_axis(node, int(node.inputs[0] is end), end, folder) for node in readers if node.op_type == "Mul"]
    is_whole = len(factors) == len(readers) and not end.is_graph_output()
    return readers if is_whole and all(levels.scale.same(factor) for factor in factors) else []


def integers_of(product: ir.Node, folder: Folder) -> tuple[ir.Value, Axis, Axis] | None:
    """Return integers of 8 bits, or a bias of 32, scale and zero point of `(float(integers - zero_point)) * scale`."""
    for index in (0, 1):
        found = _shifted(product.inputs[index], folder)
        scale = None if found is None else _axis(product, 1 - index, found[0], folder)
        if found is not None and scale is not None and scale.meets(found[1]):
            return found[0], scale, found[1]
    return None


def _shifted(value: ir.Value | None, folder: Folder) -> tuple[ir.Value, Axis] | None:
    cast = None if value is None or value.dtype != ir.DataType.FLOAT else value.producer()
    if cast is None or cast.op_type != "Cast" or cast.inputs[0] is None:
        return None
    taken = cast.inputs[0].producer()
    is_shifted = taken is not None and taken.op_type == "Sub"
    integers = _narrow(taken.inputs[0] if taken is not None and is_shifted else cast.inputs[0])
    if integers is None:
        return None
    point = _axis(taken, 1, integers, folder) if taken is not None and is_shifted else ZERO
    if point is None or (integers.dtype not in TYPES and point.values.any()):
        return None
    return integers, point


def _narrow(value: ir.Value | None) -> ir.Value | None:
    """The integers of 8 bits that were cast to wider ones, or a constant of 32 bits, as biases are."""
    while value is not None and value.dtype in _WIDE and (node := value.producer()) and node.op_type == "Cast":
        value = node.inputs[0]
    if value is None or value.dtype in TYPES:
        return value
    return value if value.dtype == ir.DataType.INT32 and value.is_initializer() else None


def _are_scales(scale: Axis) -> bool:
    return bool((np.isfinite(scale.values) & (scale.values > 0)).all())


def _with_point(levels: Levels, folder: Folder) -> Levels:
    """Take in a zero point that is added behind the Round."""
    added = _reader(levels.end, "Add")
    found = None if added is None else _added(added.outputs[0], folder)
    if added is None or found is None or found[0] is not levels.end:
        return levels
    return replace(levels, end=added.outputs[0], zero_point=found[1])


def _added(value: ir.Value, folder: Folder) -> tuple[ir.Value, Axis] | None:
    """Return what whole numbers were added to, and those, if `value` is such a sum."""
    node = value.producer()
    if node is None or node.op_type != "Add":
        return None
    for index in (0, 1):
        inner = node.inputs[1 - index]
        point = None if inner is None else _axis(node, index, inner, folder)
        if inner is not None and point is not None and point.is_whole:
            return inner, point
    return None


def _reader(value: ir.Value, *kinds: str) -> ir.Node | None:
    """The one reader of `value`, if it is of one of the kinds."""
    nodes = [node for node, _ in value.uses()]
    if len(nodes) != 1 or value.is_graph_output():
        return None
    node = nodes[0]
    return node if node.op_type in kinds and not node.domain else None


def _bounds(value: ir.Value, folder: Folder) -> Iterator[tuple[ir.Value, float, float]]:
    """Follow the bounds that are put on `value`."""
    while (node := _reader(value, *_BOUNDS)) is not None and (found := _bound(node, value, folder)) is not None:
        value = node.outputs[0]
        yield value, *found


def _unbounded(value: ir.Value | None, folder: Folder) -> tuple[ir.Value, float, float]:
    """Return what the bounds of `value` are put on, and the bounds."""
    assert value is not None  # ONNX asks for this operand
    low, high = -_NO_BOUND, _NO_BOUND
    while (node := value.producer()) is not None and node.op_type in _BOUNDS and not node.domain:
        inner = next((read for read in node.inputs if not folder.is_constant(read)), node.inputs[0])
        found = None if inner is None else _bound(node, inner, folder)
        if inner is None or found is None:
            break
        value, low, high = inner, max(low, found[0]), min(high, found[1])
    return value, low, high


def _bound(node: ir.Node, value: ir.Value, folder: Folder) -> tuple[float, float] | None:
    """The whole numbers between which `node` keeps `value`; None where they are others."""
    others = {index: folder.fold(node, index) for index, read in enumerate(node.inputs) if read not in (None, value)}
    numbers = {index: float(each.numpy().item()) for index, each in others.items() if each and each.size == 1}
    if not numbers or len(numbers) != len(others) or any(number != round(number) for number in numbers.values()):
        return None
    if node.op_type == "Clip":
        return (numbers.get(1, -_NO_BOUND), numbers.get(2, _NO_BOUND)) if node.inputs[0] is value else None
    (number,) = numbers.values() if len(numbers) == 1 else (0,)
    return (number, _NO_BOUND) if node.op_type == "Max" else (-_NO_BOUND, number)


def _axis(node: ir.Node, index: int, x: ir.Value, folder: Folder) -> Axis | None:
    """Read a constant operand that meets `x` along one axis at most."""
    tensor = folder.fold(node, index)
    if tensor is None or x.shape is None:
        return None
    array, rank = tensor.numpy().astype(np.float32), x.shape.rank()
    wide = [axis for axis, size in enumerate(array.shape) if size != 1]
    if len(wide) > 1 or array.ndim > rank:
        return None
    return Axis(array.reshape(-1), wide[0] + rank - array.ndim) if wide else Axis(array.reshape(()), 0)
