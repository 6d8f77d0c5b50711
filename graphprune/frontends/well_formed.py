"""The checks of a model that is read: known versions, no cycle, accepted by ONNX's checker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx_ir as ir

from graphprune.errors import ModelFileError, UnsupportedModelError
from graphprune.graph.functions import DOMAIN
from graphprune.graph.nodes import all_nodes, describe
from graphprune.passes.shape_inference import infer_shapes

OLDEST_OPSET = 7
_OLDEST_IR_VERSION = 3


def check_origin(model: ir.Model, source: Path) -> None:
    """Refuse what cannot be an ONNX model [GP102] and versions out of range [GP111].

    So are domains without a version [GP110], and calls of ours without their function [GP112].
    """
    if model.ir_version < _OLDEST_IR_VERSION or not model.graph.outputs:
        raise ModelFileError(f"'{source}' is not an ONNX model: it has no graph with outputs", code="GP102")
    if model.ir_version > onnx.IR_VERSION:
        raise UnsupportedModelError(
            f"'{source}' has IR version {model.ir_version}, the installed onnx knows up to {onnx.IR_VERSION}",
            code="GP111",
        )
    newest = onnx.defs.onnx_opset_version()
    for owner, version in _main_opsets(model):
        if not OLDEST_OPSET <= version <= newest:
            raise UnsupportedModelError(
                f"'{source}': {owner} has opset {version}, supported are {OLDEST_OPSET} to {newest}", code="GP111"
            )
    _check_imports(model, source)
    _check_own_calls(model, source)


def _check_imports(model: ir.Model, source: Path) -> None:
    owners: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
    for owner in owners:
        for node in ir.traversal.RecursiveGraphIterator(owner):
            if node.domain not in owner.opset_imports:
                what = f"{describe(node)} is of the domain '{node.domain}', of which no opset is imported"
                raise UnsupportedModelError(f"'{source}': {what}", code="GP110")


def _main_opsets(model: ir.Model) -> Iterator[tuple[str, int]]:
    for owner, imports in [
        ("the model", model.opset_imports),
        *((f"function '{function.name}'", function.opset_imports) for function in model.functions.values()),
    ]:
        if "" in imports:
            yield owner, imports[""]


def _check_own_calls(model: ir.Model, source: Path) -> None:
    for node in all_nodes(model):
        if node.domain == DOMAIN and node.op_identifier() not in model.functions:
            raise UnsupportedModelError(
                f"'{source}': {describe(node)} calls a function of the domain '{DOMAIN}', and the model has none of "
                "that name",
                code="GP112",
            )


def check_well_formed(model: ir.Model, source: Path) -> None:
    """Sort the nodes where they are out of order, refuse what is ill-formed [GP110], and infer shapes."""
    for graph in [model.graph, *(function.graph for function in model.functions.values())]:
        _check_reads(graph, source)
        try:
            graph.sort()
        except ValueError as error:
            raise UnsupportedModelError(f"'{source}': {_describe_cycle(graph)}", code="GP110") from error
    infer_or_refuse(model, f"'{source}'", "GP110")


def infer_or_refuse(model: ir.Model, subject: str, code: str) -> None:
    """Run ONNX's checker and strict shape inference; raise what they refuse under `subject` and `code`."""
    try:
        infer_shapes(model)
    except UnsupportedModelError as error:
        raise UnsupportedModelError(f"{subject}: {error.message}", code=code) from error


def _check_reads(graph: ir.Graph, source: Path) -> None:
    for node in ir.traversal.RecursiveGraphIterator(graph):
        for value in node.inputs:
            if value is None or value.producer() or value.is_graph_input() or value.is_initializer():
                continue
            raise UnsupportedModelError(
                f"'{source}': node '{node.name}' ({node.op_type}): reads '{value.name}', which nothing produces",
                code="GP110",
            )


def _describe_cycle(graph: ir.Graph) -> str:
    import networkx as nx  # 0.2 s that only a bad graph costs

    edges = nx.DiGraph()
    for node in graph:
        edges.add_edges_from((node, consumer) for consumer in node.successors() if consumer.graph is graph)
    try:
        names = [f"'{node.name}'" for node, _ in nx.find_cycle(edges)]
    except nx.NetworkXNoCycle:
        return f"graph '{graph.name}' has a cycle through a subgraph"
    return f"graph '{graph.name}' has a cycle of {len(names)} nodes: {', '.join(names[:5])}"
