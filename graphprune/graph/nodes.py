"""Walking over the nodes of a model, and what messages call them."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir


def all_nodes(model: ir.Model) -> Iterator[ir.Node]:
    """Yield every node of the graph, of its subgraphs and of the functions."""
    yield from model.graph.all_nodes()
    for function in model.functions.values():
        yield from function.all_nodes()


def describe(node: ir.Node) -> str:
    """Return how messages call `node`: its name (or first output), and its operator."""
    name = node.name or next((value.name for value in node.outputs if value.name), "") or "?"
    return f"node '{name}' ({node.op_type})"
