"""bfloat16 as float32 in a graph that is only planned on: ONNX's convolutions and recurrent networks lack the type."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

_TYPES = ("dtype", "to")  # attributes that say what type a node makes


def widen(model: ir.Model) -> None:
    """Turn every bfloat16 of `model` into float32: constants, types of values, and what nodes make.

    Each constant has the same values afterwards; what the graph computes is rounded later than before.
    """
    for value in _values(model):
        if value.dtype is ir.DataType.BFLOAT16:
            value.dtype = ir.DataType.FLOAT
        if value.const_value is not None:
            value.const_value = _wide(value.const_value)
    for node in _nodes(model):
        for name, attribute in list(node.attributes.items()):
            if attribute.type == ir.AttributeType.TENSOR:
                node.attributes[name] = ir.AttrTensor(name, _wide(attribute.as_tensor()))
            elif name in _TYPES and attribute.value == ir.DataType.BFLOAT16:
                node.attributes[name] = ir.AttrInt64(name, ir.DataType.FLOAT)


def _wide(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    if tensor.dtype is not ir.DataType.BFLOAT16:
        return tensor
    return ir.Tensor(tensor.numpy().astype(np.float32), name=tensor.name)


def _nodes(model: ir.Model) -> Iterator[ir.Node]:
    yield from model.graph.all_nodes()
    for function in model.functions.values():
        yield from function.all_nodes()


def _values(model: ir.Model) -> Iterator[ir.Value]:
    yield from (*model.graph.inputs, *model.graph.initializers.values())
    for node in _nodes(model):
        yield from node.outputs
