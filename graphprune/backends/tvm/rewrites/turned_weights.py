"""Dequantized weights that are transposed before a product, as exports of linear layers write them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphprune.analysis.constants import constant_tensor
from graphprune.passes.fresh_names import FreshNames
from graphprune.passes.rewriting import bypass, graph_of, new_initializer, why_not_bypass

_BYTES = (ir.DataType.INT8, ir.DataType.UINT8)


def turn_weights(model: ir.Model) -> None:
    """Transpose the bytes of constants, and dequantize those, instead of the other way round."""
    names = FreshNames(model)
    for node in list(model.graph):
        source = _dequantized_constant(node)
        if source is not None and source.inputs[0] is not None and why_not_bypass(node, source.outputs[0]) is None:
            bypass(node, _turned(node, source, source.inputs[0], names))


def _dequantized_constant(node: ir.Node) -> ir.Node | None:
    """What dequantizes the constant that `node` transposes, with scales for an axis at most."""
    source = node.inputs[0].producer() if node.op_type == "Transpose" and node.inputs[0] is not None else None
    if node.domain or source is None or source.op_type != "DequantizeLinear" or source.domain:
        return None
    tensor = constant_tensor(source.inputs[0])
    is_blocked = source.attributes.get_int("block_size", 0) != 0
    return None if tensor is None or tensor.dtype not in _BYTES or is_blocked else source


def _turned(node: ir.Node, source: ir.Node, value: ir.Value, names: FreshNames) -> ir.Value:
    tensor = constant_tensor(value)
    assert tensor is not None  # it was asked for
    rank = tensor.shape.rank()
    perm = [int(axis) for axis in node.attributes.get_ints("perm", list(reversed(range(rank))))]
    array = np.array(tensor.numpy().transpose(perm), order="C")
    turned = new_initializer(graph_of(node), names.take(f"{value.name}.turned"), ir.tensor(array))
    axis = perm.index(source.attributes.get_int("axis", 1) % rank) if rank > 1 else 0
    made = ir.node("DequantizeLinear", [turned, *source.inputs[1:]], {"axis": axis}, name=f"{node.name}.dequantized")
    made.outputs[0].type, made.outputs[0].shape = source.outputs[0].type, node.outputs[0].shape
    graph_of(node).insert_before(node, made)
    return made.outputs[0]
