"""Walking over the nodes of a model, and what messages call them."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir


def all_nodes(model: ir.Model) -> Iterator[ir.Node]:
    """Yield every node of the graph, of its subgraphs and of the functions."""
    yield from model.graph.all_nodes()
    for function in model.functions.values():
        yield from function.all_nodes()


def named_subgraphs(node: ir.Node) -> Iterator[tuple[str, ir.Graph]]:
    """Yield the graphs among the attributes of `node`, each with the name of its attribute."""
    for name, attribute in node.attributes.items():
        if attribute.is_ref():
            continue
        if attribute.type == ir.AttributeType.GRAPH:
            yield name, attribute.as_graph()
        elif attribute.type == ir.AttributeType.GRAPHS:
            yield from ((f"{name}{index}", graph) for index, graph in enumerate(attribute.as_graphs()))


def nested_nodes(node: ir.Node) -> Iterator[ir.Node]:
    """Yield every node of the subgraphs of `node`."""
    for _, graph in named_subgraphs(node):
        yield from graph.all_nodes()


def placed_graphs(graph: ir.Graph | ir.Function, place: str = "") -> Iterator[tuple[str, ir.Graph | ir.Function]]:
    """Yield `graph` and all graphs inside, each with its place: `y.then_branch.` is inside the node that makes `y`."""
    yield place, graph
    for node in graph:
        made = next((value.name for value in node.outputs if value.name), "")
        for name, inner in named_subgraphs(node):
            yield from placed_graphs(inner, f"{place}{made}.{name}.")


def operator_name(node: ir.Node) -> str:
    """Return the operator of `node`, with its domain where that is not ONNX's."""
    return f"{node.domain}::{node.op_type}" if node.domain else node.op_type


def describe(node: ir.Node) -> str:
    """Return how messages call `node`: its name (or first output), and its operator."""
    name = node.name or next((value.name for value in node.outputs if value.name), "") or "?"
    return f"node '{name}' ({node.op_type})"
