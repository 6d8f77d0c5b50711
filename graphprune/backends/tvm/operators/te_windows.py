"""Convolutions and poolings of any rank, dtype and group, with weights computed at run time or not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from tvm import te, tirx

from graphprune.backends.tvm.kernels.builder import Expr
from graphprune.backends.tvm.operators.te import Expression, Tensor, shape_of
from graphprune.backends.tvm.operators.windows import explicit_pads

Position = Sequence[Expr]


@dataclass(frozen=True)
class _Window:
    """A window over any number of axes; `before` are the pads at the start of each."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    def place(self, output: Position, tap: Position) -> list[Expr]:
        """The input position that a tap of an output reads; it may lie outside the input."""
        parts = zip(output, tap, self.strides, self.dilations, self.before, strict=True)
        return [o * stride + k * dilation - pad for o, k, stride, dilation, pad in parts]


def _window(node: ir.Node, kernel: tuple[int, ...], size: tuple[int, ...]) -> _Window:
    rank = len(kernel)
    strides = tuple(node.attributes.get_ints("strides", [1] * rank))
    dilations = tuple(node.attributes.get_ints("dilations", [1] * rank))
    pads = explicit_pads(node, kernel, strides, dilations, size)
    return _Window(kernel, strides, dilations, pads[:rank], pads[rank:])


def _inside(place: Position, size: Sequence[int]) -> Expr:
    return tirx.all(*(tirx.all(p >= 0, p < n) for p, n in zip(place, size, strict=True)))


def _output_shape(node: ir.Node) -> tuple[int, ...]:
    shape = node.outputs[0].shape
    assert shape is not None
    return tuple(int(n) for n in shape.numpy())


def _zero(dtype: str) -> Expr:
    return tirx.const(0, dtype)


def convolution(e: Expression) -> Sequence[Tensor]:
    """Conv."""
    x, weight, bias = e[0], e[1], e.get(2)
    size, kernel = shape_of(x)[2:], shape_of(weight)[2:]
    window, shape = _window(e.node, kernel, size), _output_shape(e.node)
    inputs, outputs = shape_of(weight)[1], shape[1] // e.node.attributes.get_int("group", 1)
    channel = te.reduce_axis((0, inputs), "channel")
    taps = [te.reduce_axis((0, k), f"tap{i}") for i, k in enumerate(kernel)]

    def product(n: Expr, m: Expr, *o: Expr) -> Expr:
        place = window.place(o, taps)
        value = x[(n, m // outputs * inputs + channel, *place)]
        value = tirx.if_then_else(_inside(place, size), value, _zero(x.dtype))
        return te.sum(value * weight[(m, channel, *taps)], axis=[channel, *taps])

    y = te.compute(shape, product, "convolution")
    return [y if bias is None else te.compute(shape, lambda n, m, *o: y[(n, m, *o)] + bias[m], "biased")]


def max_pool(e: Expression) -> Sequence[Tensor]:
    """MaxPool with the flat index of each maximum, in the input's own or in column-major order."""
    x, shape = e[0], _output_shape(e.node)
    size = shape_of(x)[2:]
    window = _window(e.node, tuple(e.node.attributes.get_ints("kernel_shape", [])), size)
    lowest = tirx.min_value(x.dtype)
    taps = [te.reduce_axis((0, k), f"tap{i}") for i, k in enumerate(window.kernel)]
    column_major = e.node.attributes.get_int("storage_order", 0) == 1

    def read(n: Expr, c: Expr, *o: Expr) -> Expr:
        place = window.place(o, taps)
        return tirx.if_then_else(_inside(place, size), x[(n, c, *place)], lowest)

    if len(e.node.outputs) == 1 or not e.node.outputs[1].name:
        return [te.compute(shape, lambda *i: te.max(read(*i), axis=taps), "maximum")]
    channels = shape_of(x)[1]
    first = te.comm_reducer(_first_larger, lambda t0, t1: (tirx.min_value(t0), tirx.const(-1, t1)), "first_larger")

    def candidate(n: Expr, c: Expr, *o: Expr) -> Expr:
        flat = _flat_index(window.place(o, taps), size, column_major=column_major)
        return first((read(n, c, *o), (n * channels + c) * math.prod(size) + flat), axis=taps)

    values, places = te.compute(shape, candidate, "maximum")
    wide = te.compute(shape, lambda *i: places[i].astype("int64"), "indices")
    return [te.compute(shape, lambda *i: values[i], "values"), wide]


def _first_larger(a: Sequence[Expr], b: Sequence[Expr]) -> tuple[Expr, Expr]:
    better = tirx.any(b[0] > a[0], a[1] < 0)
    return tirx.Select(better, b[0], a[0]), tirx.Select(better, b[1], a[1])


def _flat_index(place: Position, size: Sequence[int], *, column_major: bool) -> Expr:
    flat: Expr = 0
    axes = range(len(size))
    for axis in reversed(axes) if column_major else axes:
        flat = flat * size[axis] + place[axis]
    return flat


def average_pool(e: Expression) -> Sequence[Tensor]:
    """AveragePool."""
    x, shape = e[0], _output_shape(e.node)
    size = shape_of(x)[2:]
    window = _window(e.node, tuple(e.node.attributes.get_ints("kernel_shape", [])), size)
    taps = [te.reduce_axis((0, k), f"tap{i}") for i, k in enumerate(window.kernel)]
    counts = e.table(_counts(window, size, shape[2:], padded=e.node.attributes.get_int("count_include_pad", 0) == 1))

    def total(n: Expr, c: Expr, *o: Expr) -> Expr:
        place = window.place(o, taps)
        return te.sum(tirx.if_then_else(_inside(place, size), x[(n, c, *place)], _zero(x.dtype)), axis=taps)

    sums = te.compute(shape, total, "sums")
    return [te.compute(shape, lambda n, c, *o: sums[(n, c, *o)] / counts[o].astype(x.dtype), "mean")]


def _counts(window: _Window, size: Sequence[int], output: Sequence[int], *, padded: bool) -> np.ndarray:
    """How many elements each window averages, at least one; what lies beyond the declared padding never counts."""
    along = []
    for axis, length in enumerate(output):
        place = np.arange(length)[:, None] * window.strides[axis] - window.before[axis]
        place = place + np.arange(window.kernel[axis]) * window.dilations[axis]
        low = -window.before[axis] if padded else 0
        high = size[axis] + (window.after[axis] if padded else 0)
        along.append(((place >= low) & (place < high)).sum(axis=1))
    result = np.ones((), np.float32)
    for counts in along:
        result = result[..., None] * counts.astype(np.float32)
    return np.maximum(result, 1)


def columns_to_image(e: Expression) -> Sequence[Tensor]:
    """Col2Im: each pixel sums the columns' entries that were taken from it."""
    columns, shape = e[0], _output_shape(e.node)
    kernel = [int(n) for n in _known(e.node, 2)]
    rank, attributes = len(kernel), e.node.attributes
    strides, dilations = (attributes.get_ints(name, [1] * rank) for name in ("strides", "dilations"))
    pads = attributes.get_ints("pads", [0] * 2 * rank)
    blocks = [
        (n + pads[i] + pads[i + rank] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1
        for i, n in enumerate(shape[2:])
    ]
    taps = [te.reduce_axis((0, k), f"tap{i}") for i, k in enumerate(kernel)]

    def total(n: Expr, c: Expr, *o: Expr) -> Expr:
        spread = [p + pads[i] - taps[i] * dilations[i] for i, p in enumerate(o)]
        block = [tirx.floordiv(p, s) for p, s in zip(spread, strides, strict=True)]
        hits = [tirx.floormod(p, s) == 0 for p, s in zip(spread, strides, strict=True)]
        row = _flat_index(taps, kernel, column_major=False) + c * math.prod(kernel)
        value = columns[n, row, _flat_index(block, blocks, column_major=False)]
        return te.sum(
            tirx.if_then_else(tirx.all(_inside(block, blocks), *hits), value, _zero(columns.dtype)), axis=taps
        )

    return [te.compute(shape, total, "image")]


def _known(node: ir.Node, index: int) -> np.ndarray:
    value = node.inputs[index]
    assert value is not None
    assert value.const_value is not None
    return np.asarray(value.const_value.numpy())
