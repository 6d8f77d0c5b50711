"""Nodes that are written beside a quantizer: its levels as floats, and floats in its levels."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx_ir.tape import Tape

from graphprune.verification.roundings import is_dynamic, scale_of


def in_levels(tape: Tape, node: ir.Node, integers: ir.Value, size: float) -> ir.Value:
    """Write nodes that scale signed bytes, of the shape of what `node` rounds, to `size` of its levels each."""
    scale = _scale(tape, node)
    granularity = {name: node.attributes[name] for name in ("axis", "block_size") if name in node.attributes}
    domain = "" if is_dynamic(node) else node.domain
    whole = tape.op("DequantizeLinear", [integers, scale], granularity, domain=domain)
    return tape.op("Mul", [whole, constant(tape, size, scale.dtype)])


def levels_read(tape: Tape, node: ir.Node, name: str) -> ir.Value:
    """Write nodes that give, under a name, what `node` rounds in levels from its zero point, before it is rounded."""
    x = node.inputs[0]
    ones = tape.op("ConstantOfShape", [tape.op("Shape", [x])], {"value": ir.tensor(np.ones(1, np.int8))})
    return tape.op("Div", [x, in_levels(tape, node, ones, 1.0)], output=ir.Value(name=name))


def constant(tape: Tape, number: float, dtype: ir.DataType | None) -> ir.Value:
    """Write a node that gives one number, in this type of floats, or in float32 where that is not known."""
    return tape.op("Constant", [], {"value": ir.tensor(number, dtype or ir.DataType.FLOAT)})


def _scale(tape: Tape, node: ir.Node) -> ir.Value:
    """The scale by which a node rounds its first input."""
    scale = scale_of(node)
    return tape.op_multi_out("DynamicQuantizeLinear", [node.inputs[0]], num_outputs=3)[1] if scale is None else scale
