"""Products of integers in the narrowest floats that hold every sum exactly: the kernels for floats, and for zeros."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from graphprune.backends.tvm.kernels.elements import MOST_IN_FLOAT32
from graphprune.passes.definition import Array, Definition

MOST_PARTS = 8
"""Of a product that is cut along what it sums over, for each part to stay below; then float64 is as fast."""


def sum_products(
    define: Definition,
    operator: str,
    operands: tuple[str, str],
    magnitudes: Array,
    axes: tuple[int, int],
    **attributes: object,
) -> str:
    """Add MatMul or Conv of int32 operands, zero points taken off, and return the int32 results.

    `magnitudes` [outputs, channels] are the largest sums of a channel for an output (see `largest_sums`); the channels
    lie along `axes` of the operands. Products of groups are not cut.
    """
    parts = _cut(magnitudes, most=1 if attributes.get("group", 1) != 1 else MOST_PARTS)
    if parts is None:
        return _product(define, operator, operands, np.float64, attributes)
    if len(parts) == 1:
        return _product(define, operator, operands, np.float32, attributes)
    sums = []
    for start, end in parts:
        part = [define.slice(value, axis, start, end) for value, axis in zip(operands, axes, strict=True)]
        sums.append(_product(define, operator, part, np.float32, attributes))
    total = sums[0]
    for each in sums[1:]:
        total = define("Add", total, each)
    return total


def _product(
    define: Definition, operator: str, operands: Sequence[str], dtype: npt.DTypeLike, attributes: dict[str, object]
) -> str:
    floats = [define.cast(value, dtype) for value in operands]
    return define.cast(define(operator, *floats, **attributes), np.int32)  # type: ignore[arg-type] # onnx checks them


def _cut(magnitudes: Array, most: int) -> list[tuple[int, int]] | None:
    """The fewest even parts of the channels whose sums are float32 numbers, or None where `most` are too few."""
    for count in range(1, most + 1):
        ends = [len(magnitudes[0]) * number // count for number in range(count + 1)]
        parts = list(itertools.pairwise(ends))
        if all(magnitudes[:, start:end].sum(1).max(initial=0) <= MOST_IN_FLOAT32 for start, end in parts):
            return parts
    return None


def largest_sums(define: Definition, x: tuple[int, int], weight: tuple[int, int], axis: int) -> Array:
    """For an output and a channel along `axis` of the weight, the largest magnitude of its sum of products.

    `x` and `weight` say which inputs of the node the operands and their zero points are.
    """
    most, (index, zero) = _largest(define, *x), weight
    sums: Array
    values, point = define.known(index), define.known(zero) if define.has(zero) else np.zeros((), np.int64)
    if values is None or point is None:
        shape = define.shape(index)
        others = 1 if axis < 0 else np.prod(shape[axis + 1 :], dtype=np.int64)
        return np.full((1, shape[axis]), most * _largest(define, *weight) * others)
    if axis > 0 and point.size > 1:
        point = point.reshape(-1, *[1] * (values.ndim - 1))
    sizes: Array = np.abs(values.astype(np.int64) - point.astype(np.int64))
    if axis < 0:
        sums = np.moveaxis(sizes, axis, -1).reshape(-1, sizes.shape[axis])
    else:
        sums = sizes.reshape(*sizes.shape[:2], -1).sum(2)
    return most * sums


def _largest(define: Definition, index: int, zero: int) -> int:
    """The largest magnitude of an element of an input less its zero point."""
    limits = np.iinfo(define.dtype(index))
    point = define.known(zero) if define.has(zero) else np.zeros((), np.int64)
    if point is None:
        return int(limits.max) - int(limits.min)
    wide = point.astype(np.int64)
    return int(max(limits.max - wide.min(), wide.max() - limits.min))
