"""A graph cut into blocks: spans of nodes behind which one value goes on."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import accumulate

import onnx_ir as ir

from graphprune.calibration.streaming.steps import Step, fixed_nodes, in_steps, reads_of

LAYERS = 2
"""Layers of a block, at least."""


def into_blocks(graph: ir.Graph, layers: Collection[ir.Node]) -> list[Step]:
    """Return the blocks of a sorted graph as steps; the first is what lies in front of all layers.

    A block ends where, of all that depends on layers, one value is read later: behind the sum of a residual, not within
    its branch; and as late as it can without another layer. What depends on no layer, such as a mask of attention, may
    go on beside it. Each block has `LAYERS` layers or more, unless there are fewer; what follows the last such block is
    part of it. Each gives what later ones read, and the outputs of the graph.
    """
    return in_steps(graph, layers, list(_spans(graph, layers)), set(graph.outputs))


def behind(graph: ir.Graph, layers: Collection[ir.Node]) -> set[ir.Value]:
    """Return what layers of a sorted graph give, and all that depends on it."""
    found: set[ir.Value] = set()
    for node in graph:
        if node in layers or not found.isdisjoint(reads_of(node, graph)):
            found |= set(node.outputs)
    return found


def _spans(graph: ir.Graph, layers: Collection[ir.Node]) -> Iterator[list[ir.Node]]:
    fixed = fixed_nodes(graph)
    nodes = [node for node in graph if node not in fixed]
    first = next(index for index, node in enumerate(nodes) if node in layers)
    yield nodes[:first]
    before = [0, *accumulate(node in layers for node in nodes)]
    last = {before[end]: end for end in _narrow(graph, nodes, layers)}
    start = first
    for done, end in last.items():
        if done - before[start] >= LAYERS and before[-1] - done >= LAYERS:
            yield nodes[start:end]
            start = end
    yield nodes[start:]


def _narrow(graph: ir.Graph, nodes: list[ir.Node], layers: Collection[ir.Node]) -> Iterator[int]:
    """The places between nodes that one value that depends on layers crosses: how many nodes lie before."""
    moved = behind(graph, layers)
    last = {value: index for index, node in enumerate(nodes) for value in reads_of(node, graph) if value in moved}
    crossing: set[ir.Value] = set()
    for index, node in enumerate(nodes):
        crossing |= {value for value in node.outputs if last.get(value, -1) > index}
        crossing -= {value for value in crossing if last[value] <= index}
        if len(crossing) == 1:
            yield index + 1
