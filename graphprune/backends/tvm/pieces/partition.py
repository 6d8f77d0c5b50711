"""Cutting a graph into as few pieces as there can be, which run one after another and are of two kinds in turns."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from graphprune.packed.forms import CALLS
from graphprune.passes.structure import subgraphs

PRODUCTS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", *CALLS})
"""Operators that make it worth while to leave ONNX Runtime for."""

BETWEEN = "it multiplies no weights, and leaving ONNX Runtime for it costs more than it saves"


@dataclass(frozen=True)
class Part:
    """Nodes that run at once, in order: in ONNX Runtime if `hosted`, else as code."""

    nodes: tuple[ir.Node, ...]
    hosted: bool


def partition(graph: ir.Graph, refused: dict[ir.Node, str]) -> list[Part]:
    """The parts of a topologically sorted graph; the nodes in `refused` are hosted.

    Parts without a product are hosted too where others have one: their nodes are added to `refused`, with the reason.
    """
    while True:
        parts = min((_alternate(graph, refused, hosted=first) for first in (False, True)), key=len)
        own = [part for part in parts if not part.hosted]
        idle = [part for part in own if not any(node.op_type in PRODUCTS for node in part.nodes)]
        if not idle or len(idle) == len(own):
            return parts
        refused |= {node: BETWEEN for part in idle for node in part.nodes}


def _alternate(graph: ir.Graph, refused: Collection[ir.Node], *, hosted: bool) -> list[Part]:
    """Parts in turns, the first of this kind, each of all nodes that can run by then: the fewest that begin so."""
    parts: list[Part] = []
    waiting, done = list(graph), set[ir.Node]()
    while waiting:
        taken: list[ir.Node] = []
        for node in waiting:
            if (node in refused) is hosted and producers(node, graph) <= done:
                taken.append(node)
                done.add(node)
        if taken:
            parts.append(Part(tuple(taken), hosted))
            waiting = [node for node in waiting if node not in done]
        hosted = not hosted
    return parts


def producers(node: ir.Node, graph: ir.Graph) -> set[ir.Node]:
    """The nodes of `graph` whose results a node reads, itself or in its subgraphs."""
    return {producer for value in read_values(node, graph) if (producer := value.producer()) is not None}


def read_values(node: ir.Node, graph: ir.Graph) -> Iterator[ir.Value]:
    """The values of `graph` that a node reads, itself or in its subgraphs."""
    inner: Sequence[ir.Node] = [each for subgraph in subgraphs(node) for each in subgraph.all_nodes()]
    for each in (node, *inner):
        yield from (value for value in each.inputs if value is not None and value.graph is graph)
