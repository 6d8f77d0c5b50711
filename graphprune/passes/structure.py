"""Check that a graph is well-formed, without reading its weights."""

from __future__ import annotations

from collections.abc import Iterable

import onnx
import onnx_ir as ir
from onnx import checker

from graphprune.errors import UnsupportedModelError
from graphprune.graph.nodes import describe, named_subgraphs
from graphprune.graph.opaque import seal

_LARGEST_KEPT = 4096  # bytes: shape-like constants stay in the proto, weights do not


def verify_structure(model: ir.Model) -> None:
    """Check names, order, attributes, arities and operator sets.

    Raises:
        UnsupportedModelError: The graph is ill-formed (GP261).
    """
    checked_proto(model)


def checked_proto(model: ir.Model) -> onnx.ModelProto:
    """Return `model` as a well-formed proto whose large initializers are declared as inputs.

    Weights are not read, so the model may be larger than 2 GB.

    Raises:
        UnsupportedModelError: The graph is ill-formed (GP261).
    """
    verify_scopes(model)
    proto = ir.to_proto(_without_weights(model))
    seal(proto)
    shapeless = [value for value in (*proto.graph.input, *proto.graph.output) if _lacks_shape(value)]
    try:
        for value in shapeless:  # ONNX Runtime accepts an unknown rank here, onnx's checker asks for the field
            value.type.tensor_type.shape.SetInParent()
        checker.check_model(proto)
    except checker.ValidationError as error:
        raise _ill_formed(one_line(error)) from None
    for value in shapeless:
        value.type.tensor_type.ClearField("shape")
    return proto


def verify_scopes(model: ir.Model) -> None:
    """Check that every value is defined before it is read, by the graph itself or by one around it.

    Raises:
        UnsupportedModelError: One is not: a missing producer, a wrong order, or a cycle (GP261).
    """
    _verify_scope(model.graph, set())
    for function in model.functions.values():
        _verify_scope(function, set())


def subgraphs(node: ir.Node) -> Iterable[ir.Graph]:
    """Return the graphs among the attributes of `node`."""
    return (graph for _, graph in named_subgraphs(node))


def one_line(error: Exception) -> str:
    """Return the message of `error` without line breaks."""
    return " ".join(str(error).split())


def _verify_scope(graph: ir.Graph | ir.Function, around: set[ir.Value]) -> None:
    defined = around | set(graph.inputs)
    if isinstance(graph, ir.Graph):
        defined |= set(graph.initializers.values())
    for node in graph:
        for value in node.inputs:
            if value is not None and value not in defined:
                raise _ill_formed(f"{describe(node)}: input '{value.name}' is not defined before it is read")
        for inner in subgraphs(node):
            _verify_scope(inner, defined)
        defined |= set(node.outputs)
    for value in graph.outputs:
        if value not in defined:
            raise _ill_formed(f"graph '{graph.name}': output '{value.name}' is not defined")


def _without_weights(model: ir.Model) -> ir.Model:
    clone = model.clone()
    for name, value in list(clone.graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or tensor.nbytes <= _LARGEST_KEPT:
            continue
        del clone.graph.initializers[name]
        value.const_value = None
        if value not in clone.graph.inputs:
            value.type = ir.TensorType(tensor.dtype)
            value.shape = ir.Shape(tensor.shape.numpy())
            clone.graph.inputs.append(value)
    return clone


def _lacks_shape(value: onnx.ValueInfoProto) -> bool:
    return value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape")


def _ill_formed(what: str) -> UnsupportedModelError:
    return UnsupportedModelError(f"graph is ill-formed: {what}", code="GP261")
