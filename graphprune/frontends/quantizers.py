"""Rounding arithmetic as QuantizeLinear and DequantizeLinear: what an export makes of quantizers written in torch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.frontends.quantizer_arithmetic import (
    TYPES,
    Axis,
    Levels,
    integers_of,
    levels_of,
    limits,
    products_of,
    stored,
)
from graphprune.frontends.straight_through import drop_straight_through
from graphprune.passes.folding import Folder
from graphprune.passes.fresh_names import FreshNames
from graphprune.passes.rewriting import bypass, graph_of, new_initializer


def recognize_quantizers(model: ir.Model) -> None:
    """Write `(clip(round(x / s) + z, low, high) - z) * s` as QuantizeLinear, Clip and DequantizeLinear.

    Scales and zero points are constants, one or one an index of an axis, and the levels have 8 bits; a zero point may
    be added before the rounding, as torch does, where sums that lie between two levels may go to the other one. What
    comes in two parts, with integers between them, becomes the two operators. All else is left as it is.
    """
    drop_straight_through(model)
    folder, writer = Folder(model), _Writer(model)
    for node in list(model.graph):
        if _is(node, "Round") and (levels := levels_of(node, folder)) is not None:
            _write_levels(levels, folder, writer)
    for node in list(model.graph):
        found = integers_of(node, folder) if _is(node, "Mul") else None
        if found is not None:
            integers, scale, point = found
            dtype = integers.dtype or TYPES[0]
            step = writer.step(integers, scale, point, dtype, node)
            bypass(node, writer.dequantized(integers, step, node))


def _write_levels(levels: Levels, folder: Folder, writer: _Writer) -> None:
    cast = stored(levels)
    ends = products_of(levels, folder) if cast is None else [cast]
    dtype = next((dtype for dtype in TYPES if levels.fit(dtype)), None) if cast is None else cast.outputs[0].dtype
    if dtype is None:
        return
    for end in ends:
        step = writer.step(levels.x, levels.scale, levels.zero_point, dtype, end)
        integers = writer.quantized(levels, step, end)
        bypass(end, integers if end is cast else writer.dequantized(integers, step, end))


class _Step(NamedTuple):
    """Scale and zero point as operands, and along which axis they lie."""

    operands: tuple[ir.Value, ir.Value]
    attributes: tuple[ir.Attr, ...]
    dtype: ir.DataType


class _Writer:
    """Puts nodes in front of others, and their constants into the graph."""

    def __init__(self, model: ir.Model) -> None:
        self._names = FreshNames(model)

    def step(self, x: ir.Value, scale: Axis, point: Axis, dtype: ir.DataType, before: ir.Node) -> _Step:
        """Make scale and zero point of `x` constants."""
        scales, points = np.broadcast_arrays(scale.values, point.values)
        attributes = (ir.AttrInt64("axis", max(scale.axis, point.axis)),) if scales.ndim else ()
        scale_value = self._constant(scales, f"{x.name}_scale", before)
        point_value = self._constant(points.astype(dtype.numpy()), f"{x.name}_zero_point", before)
        return _Step((scale_value, point_value), attributes, dtype)

    def quantized(self, levels: Levels, step: _Step, before: ir.Node) -> ir.Value:
        """Make the integers of the levels, in front of `before`."""
        name, dtype = levels.x.name, step.dtype
        node = ir.Node("", "QuantizeLinear", (levels.x, *step.operands), step.attributes, num_outputs=1)
        integers = self._insert(node, f"{name}_levels", dtype, before)
        bounds, (lowest, highest) = (levels.low, levels.high), limits(dtype)
        if levels.low == lowest and levels.high == highest:
            return integers
        names = (f"{name}_lowest", f"{name}_highest")
        arrays = (np.asarray(bound, dtype.numpy()) for bound in bounds)
        ends = (self._constant(array, each, before) for array, each in zip(arrays, names, strict=True))
        return self._insert(ir.Node("", "Clip", (integers, *ends), num_outputs=1), f"{name}_clipped", dtype, before)

    def dequantized(self, integers: ir.Value, step: _Step, before: ir.Node) -> ir.Value:
        """Make what integers stand for, in front of `before`, whose output it will replace."""
        node = ir.Node("", "DequantizeLinear", (integers, *step.operands), step.attributes, num_outputs=1)
        return self._insert(node, f"{before.outputs[0].name}_dequantized", ir.DataType.FLOAT, before)

    def _constant(self, array: npt.NDArray[np.generic], name: str, before: ir.Node) -> ir.Value:
        return new_initializer(graph_of(before), self._names.take(name), ir.tensor(np.array(array)))

    def _insert(self, node: ir.Node, name: str, dtype: ir.DataType, before: ir.Node) -> ir.Value:
        (output,) = node.outputs
        node.name = output.name = self._names.take(name)
        output.type, output.shape = ir.TensorType(dtype), before.outputs[0].shape
        graph_of(before).insert_before(before, node)
        return output


def _is(node: ir.Node, kind: str) -> bool:
    return node.op_type == kind and not node.domain
