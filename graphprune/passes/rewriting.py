"""The basic graph edits of passes; each keeps the graph valid and the names of its outputs."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphprune.passes.fresh_names import FreshNames


def constant_of(value: ir.Value | None) -> ir.TensorProtocol | None:
    """Return the tensor of an initializer that no caller can override, else None."""
    if value is None or not value.is_initializer() or value.is_graph_input():
        return None
    return value.const_value


def why_not_bypass(node: ir.Node, value: ir.Value) -> str | None:
    """Return why the first output of `node` cannot be replaced by `value`, or None if it can.

    Only an output of the graph is in the way: its name has to go to a value that is free to take it.
    """
    output = node.outputs[0]
    if not output.is_graph_output():
        return None
    if value.is_graph_output():
        return f"'{value.name}' and '{output.name}' are both outputs of the graph"
    if value.is_graph_input():
        return f"it joins input '{value.name}' of the graph to output '{output.name}'"
    if value.is_initializer():
        return f"it joins initializer '{value.name}' to output '{output.name}' of the graph"
    if value.graph is not node.graph:
        return f"'{value.name}', which comes from the graph around, is read by output '{output.name}'"
    return None


def bypass(node: ir.Node, value: ir.Value) -> None:
    """Let everything that reads the first output of `node` read `value`, and remove `node`.

    `why_not_bypass` must have been asked.
    """
    output = node.outputs[0]
    is_output = output.is_graph_output()
    output.replace_all_uses_with(value, replace_graph_outputs=True)
    graph = node.graph
    assert graph is not None  # nodes come from a graph
    inputs = [read for read in node.inputs if read is not None and read is not value]
    graph.remove(node, safe=True)
    drop_unused(inputs)
    if is_output:
        value.name, value.type, value.shape = output.name, output.type, output.shape


def drop_unused(values: Iterable[ir.Value]) -> None:
    """Remove the initializers and the nodes among and before `values` that nothing reads any more."""
    pending = list(values)
    while pending:
        value = pending.pop()
        if value.uses() or value.is_graph_output() or value.is_graph_input() or value.graph is None:
            continue
        producer = value.producer()
        if producer is None:
            value.graph.initializers.pop(str(value.name), None)
        elif producer.graph is not None and not any(out.uses() or out.is_graph_output() for out in producer.outputs):
            pending.extend(read for read in producer.inputs if read is not None)
            producer.graph.remove(producer, safe=True)


def new_initializer(graph: ir.Graph, name: str, tensor: ir.TensorProtocol) -> ir.Value:
    """Register `tensor` in `graph` as the initializer `name` and return its value."""
    value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(tensor.shape.numpy()))
    value.const_value = tensor
    graph.register_initializer(value)
    return value


def replace_by_constants(node: ir.Node, tensors: Iterable[ir.TensorProtocol]) -> list[str]:
    """Let initializers of the same names stand for the outputs of `node`, and remove it; return the names."""
    graph = graph_of(node)
    made = []
    for value, tensor in zip(node.outputs, tensors, strict=True):
        if value.uses():
            made.append(str(value.name))
            value.name = None
            value.replace_all_uses_with(new_initializer(graph, made[-1], tensor))
    inputs = [value for value in node.inputs if value is not None]
    graph.remove(node, safe=True)
    drop_unused(inputs)
    return made


def give_constant(node: ir.Node, index: int, tensor: ir.TensorProtocol, name: str, names: FreshNames) -> None:
    """Let an operand of `node` be `tensor`: where it reads a constant alone that one, else a new initializer."""
    value = node.inputs[index] if index < len(node.inputs) else None
    if value is not None and constant_of(value) is not None and len(value.uses()) == 1 and not value.is_graph_output():
        value.const_value = tensor
        return
    node.resize_inputs(max(index + 1, len(node.inputs)))
    node.replace_input_with(index, new_initializer(graph_of(node), names.take(name), tensor))


def graph_of(node: ir.Node) -> ir.Graph:
    """Return the graph that holds `node`; passes do not rewrite the bodies of functions."""
    assert isinstance(node.graph, ir.Graph)
    return node.graph
