"""The float64 twin of a float32 model: what separates a wrong rewriting from one that only rounds differently."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphprune.graph.nodes import all_nodes

_TYPE_ATTRIBUTES = ("to", "dtype")
_FLOAT_CONSTANTS = ("value_float", "value_floats")


def as_float64(model: ir.Model) -> ir.Model:
    """Return a clone of `model` in which everything that was float32 is float64.

    Types of values between the nodes are left unknown; shape inference finds them. Operators that demand a float32
    input (the scales of `Resize`) have no float64 twin.
    """
    clone = model.clone()
    for node in list(all_nodes(clone)):
        _convert_node(node)
    for graph in clone.graphs():
        for value in (*graph.inputs, *graph.outputs):
            _convert_type(value)
        for value in graph.initializers.values():
            if value.const_value is not None:
                value.const_value = _widened(value.const_value)
                value.type = ir.TensorType(value.const_value.dtype)
    return clone


def feed_as_float64(feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return `feed` with its float32 arrays widened."""
    return {name: array.astype(np.float64) if array.dtype == np.float32 else array for name, array in feed.items()}


def _convert_node(node: ir.Node) -> None:
    for value in node.outputs:
        if not value.is_graph_output():
            value.type = None
    for name, attribute in list(node.attributes.items()):
        if attribute.is_ref():
            continue
        if attribute.type == ir.AttributeType.TENSOR:
            node.attributes[name] = ir.AttrTensor(name, _widened(attribute.as_tensor()))
        elif name in _TYPE_ATTRIBUTES and attribute.value == ir.DataType.FLOAT:
            node.attributes[name] = ir.AttrInt64(name, ir.DataType.DOUBLE)
    if node.op_type == "ConstantOfShape" and "value" not in node.attributes:
        node.attributes["value"] = ir.AttrTensor("value", ir.tensor(np.zeros(1, np.float64)))
    if node.op_type == "Constant" and any(name in node.attributes for name in _FLOAT_CONSTANTS):
        _cast_output(node)


def _cast_output(node: ir.Node) -> None:
    """Widen what a `Constant` with a float attribute gives; the attribute may be a reference, so it stays."""
    value = node.outputs[0]
    cast = ir.node("Cast", [value], {"to": ir.DataType.DOUBLE})
    cast.outputs[0].name = f"{value.name}_float64"
    graph = node.graph
    assert graph is not None  # nodes come from a graph
    value.replace_all_uses_with(cast.outputs[0], replace_graph_outputs=True)
    cast.replace_input_with(0, value)
    graph.insert_after(node, cast)


def _convert_type(value: ir.Value) -> None:
    if value.dtype == ir.DataType.FLOAT and isinstance(value.type, ir.TensorType):
        value.type = ir.TensorType(ir.DataType.DOUBLE)


def _widened(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    if tensor.dtype != ir.DataType.FLOAT:
        return tensor
    return ir.tensor(tensor.numpy().astype(np.float64), name=tensor.name)
