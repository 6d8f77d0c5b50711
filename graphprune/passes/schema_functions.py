"""Operators that ONNX defines by simpler ones: a node becomes the body that its schema gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from graphprune.graph.functions import DOMAIN
from graphprune.passes.rewriting import bypass, why_not_bypass
from graphprune.passes.shape_inference import infer_shapes
from graphprune.passes.structure import subgraphs

_DOMAIN = "graphprune.expansion"

Schema = Any
"""A schema of onnx, whose type stubs lack everything about functions."""

BodyOf = Callable[[ir.Model, ir.Node], onnx.FunctionProto | None]
"""The definition of a node's operator, or None if it has none."""


def expand_functions(model: ir.Model, is_supported: Callable[[ir.Node], bool], body_of: BodyOf) -> bool:
    """Replace every unsupported node that has a body by that body; True if there was one.

    Bodies may hold further nodes to expand. Shapes must be inferred, and are inferred again.
    """
    expanded = 0
    for node in list(model.graph):
        if node.domain != DOMAIN and not is_supported(node) and not any(subgraphs(node)):
            body = body_of(model, node)
            if body is not None:
                _call_function(model, node, body, f"{node.op_type}_{expanded}")
                expanded += 1
    if expanded:
        InlinePass(criteria=lambda function: function.domain == _DOMAIN)(model)
        _remove_identities(model.graph)
        model.graph.opset_imports.pop(_DOMAIN, None)
        infer_shapes(model)
    return expanded > 0


def _remove_identities(graph: ir.Graph) -> None:
    """Those that bodies begin and end with; one that gives a branch its output stays."""
    for node in list(graph):
        value = node.inputs[0] if node.op_type == "Identity" and node.domain == "" else None
        if value is not None and why_not_bypass(node, value) is None:
            bypass(node, value)


def schema_body(model: ir.Model, node: ir.Node) -> onnx.FunctionProto | None:
    """The newest definition of the node's operator that the model's opset allows, or None."""
    schema, opset = _schema(model, node), model.opset_imports.get(node.domain, 0)
    if schema is None:
        return None
    versions = [v for v in schema.function_opset_versions if v <= opset]
    if versions:
        return _parsed(node, schema.get_function_with_opset_version(max(versions)))
    versions = [v for v in schema.context_dependent_function_opset_versions if v <= opset]
    if not versions:
        return None
    types = [_type_proto(value).SerializeToString() for value in node.inputs]
    proto = _with_defaults(node, schema).SerializeToString()
    try:
        data = schema.get_context_dependent_function_with_opset_version(max(versions), proto, types)
    except ValueError:  # onnx finds the node itself ill-formed, as a SequenceMap whose body gives nothing
        return None
    return _parsed(node, data)


def _schema(model: ir.Model, node: ir.Node) -> Schema:
    """The operator's schema, or None."""
    try:
        return onnx.defs.get_schema(node.op_type, model.opset_imports[node.domain], node.domain)
    except onnx.defs.SchemaError:
        return None


def _parsed(node: ir.Node, data: bytes) -> onnx.FunctionProto | None:
    """A definition as a proto, unless it leaves out an output that is read.

    Definitions are made for a node, and do not compute optional outputs that it does not have.
    """
    body = onnx.FunctionProto()
    body.ParseFromString(data)
    made = {name for inner in body.node for name in inner.output}
    read = [output.uses() or output.is_graph_output() for output in node.outputs]
    if not body.node or any(read[len(body.output) :]):
        return None
    for index, name in enumerate(body.output):
        if name not in made:
            if index < len(read) and read[index]:
                return None
            body.output[index] = name or f"absent_{index}"
            body.node.append(onnx.helper.make_node("Identity", [body.input[0]], [body.output[index]]))
    return body


def _type_proto(value: ir.Value | None) -> onnx.TypeProto:
    if value is None or value.type is None:
        return onnx.TypeProto()
    return ir.serde.serialize_value(value).type


def _with_defaults(node: ir.Node, schema: Schema) -> onnx.NodeProto:
    """The node with the schema's default for each attribute that it leaves out."""
    proto = ir.serde.serialize_node(node)
    for name, attribute in schema.attributes.items():
        if name not in node.attributes and attribute.default_value.name:
            proto.attribute.append(attribute.default_value)
    return proto


def _call_function(model: ir.Model, node: ir.Node, body: onnx.FunctionProto, name: str) -> None:
    """Make the node a call of `body`, which becomes a function of the model; its nodes are called after the node."""
    schema = _schema(model, node)
    for attribute in () if schema is None else _with_defaults(node, schema).attribute:
        if attribute.name not in node.attributes:
            node.attributes[attribute.name] = ir.serde.deserialize_attribute(attribute)
    body.domain, body.name = _DOMAIN, name
    for inner in body.node:
        inner.name = f"{node.name or node.outputs[0].name}.{inner.op_type}"
    function = ir.serde.deserialize_function(body)
    function.opset_imports.clear()
    newest = onnx.defs.onnx_opset_version()  # for a model of other domains alone
    function.opset_imports[""] = model.graph.opset_imports.setdefault("", newest)
    model.functions[function.identifier()] = function
    model.graph.opset_imports[_DOMAIN] = 1
    node.resize_outputs(len(body.output))
    for index, output in enumerate(node.outputs):
        output.name = output.name or f"{node.name}.{index}"
    node.domain, node.op_type, node.overload = _DOMAIN, name, ""
