"""A graph cut in front of its layers: steps that run one after another, each up to what the next layers multiply."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from graphprune.errors import UnsupportedModelError
from graphprune.graph.nodes import describe, nested_nodes


@dataclass(frozen=True)
class Step:
    """Nodes that run at once.

    Attributes:
        layers: Those among them that are looked at before they run, in the order of the graph.
        nodes: All of them, in order; the layers first.
        reads: What they take from steps before, and from the inputs of the graph: nothing that is constant.
        gives: What later steps read of what they compute.
        last: What no later step reads of what they take.
    """

    layers: tuple[ir.Node, ...]
    nodes: tuple[ir.Node, ...]
    reads: tuple[ir.Value, ...]
    gives: tuple[ir.Value, ...]
    last: tuple[ir.Value, ...]


def cut(graph: ir.Graph, layers: Collection[ir.Node]) -> list[Step]:
    """Return the steps of a sorted graph; the first has no layer, and what no layer depends on is in none.

    Each step has all layers that can run by then, and all nodes that can run behind them. What is made of constants
    alone is in none either: whoever reads it makes it, since these may change.
    """
    return in_steps(graph, layers, list(_Cutter(graph, layers).parts()))


def in_steps(
    graph: ir.Graph, layers: Collection[ir.Node], parts: Sequence[Sequence[ir.Node]], kept: Collection[ir.Value] = ()
) -> list[Step]:
    """Return parts of a sorted graph as steps, for parts that run one after another.

    Args:
        graph: The graph.
        layers: What is looked at.
        parts: Nodes, each in one part.
        kept: What is given although no later part may read it.
    """
    fixed = fixed_nodes(graph)
    reads = [_outer_reads(graph, nodes, fixed) for nodes in parts]
    later = set(kept)
    steps: list[Step] = []
    for nodes, read in zip(reversed(parts), reversed(reads), strict=True):
        own = tuple(node for node in nodes if node in layers)
        gives = tuple(value for node in nodes for value in node.outputs if value in later)
        steps.append(Step(own, tuple(nodes), tuple(read), gives, tuple(value for value in read if value not in later)))
        later |= set(read)
    return steps[::-1]


def _outer_reads(graph: ir.Graph, nodes: Sequence[ir.Node], fixed: Collection[ir.Node]) -> list[ir.Value]:
    """What nodes read that they do not compute, each once, without what is made of constants alone."""
    inside = {value for node in nodes for value in node.outputs}
    found = dict.fromkeys(value for node in nodes for value in reads_of(node, graph))
    outer = (value for value in found if value not in inside and value.const_value is None)
    return [value for value in outer if value.producer() not in fixed]


def alone(graph: ir.Graph, node: ir.Node) -> Step:
    """Return the step of one node of a sorted graph, which gives all its outputs."""
    reads = tuple(_outer_reads(graph, [node], fixed_nodes(graph)))
    return Step((node,), (node,), reads, tuple(node.outputs), ())


class _Cutter:
    """The nodes of a graph, and what each of them waits for."""

    def __init__(self, graph: ir.Graph, layers: Collection[ir.Node]) -> None:
        self._graph, self._layers, self._fixed = graph, layers, fixed_nodes(graph)
        self._after = {node: _producers(node, graph) - self._fixed for node in graph if node not in self._fixed}
        needed = self._needed()
        self._waiting = [node for node in self._after if node in needed]

    def parts(self) -> Iterator[list[ir.Node]]:
        """Yield the nodes of each step, the layers first."""
        done: set[ir.Node] = set()
        ready: list[ir.Node] = []
        while True:
            done |= set(ready)
            for node in self._waiting:
                if node not in self._layers and self._after[node] <= done:
                    ready.append(node)
                    done.add(node)
            yield ready
            self._waiting = [node for node in self._waiting if node not in done]
            ready = [node for node in self._waiting if node in self._layers and self._after[node] <= done]
            if not ready:
                return

    def _needed(self) -> set[ir.Node]:
        """The layers, and what they depend on."""
        found: set[ir.Node] = set()
        pending = list(self._layers)
        while pending:
            node = pending.pop()
            if node not in found:
                found.add(node)
                pending += self._after[node]
        return found


def fixed_nodes(graph: ir.Graph) -> set[ir.Node]:
    """Return the nodes that read constants, and what is made of them, and nothing else."""
    found: set[ir.Node] = set()
    for node in graph:
        reads = list(reads_of(node, graph))
        is_fixed = all(value.const_value is not None or value.producer() in found for value in reads)
        if is_fixed and (reads or node.op_type == "Constant"):
            found.add(node)
    return found


def _producers(node: ir.Node, graph: ir.Graph) -> set[ir.Node]:
    return {made for value in reads_of(node, graph) if (made := value.producer()) is not None}


def reads_of(node: ir.Node, graph: ir.Graph) -> Iterator[ir.Value]:
    """Yield the values of the graph that a node reads, itself or in its subgraphs."""
    for each in (node, *nested_nodes(node)):
        yield from (value for value in each.inputs if value is not None and value.graph is graph)


def as_model(model: ir.Model, step: Step) -> ir.Model:
    """Return a step as a model of its own, which gives what later ones read; tensors are shared.

    Raises:
        UnsupportedModelError: The type of a value that it takes is not known (GP583).
    """
    for value in step.reads:
        if value.type is None:
            users = ", ".join(describe(node) for node in step.nodes if value in node.inputs)
            raise UnsupportedModelError(f"'{value.name}', which {users} reads, has no known type", code="GP583")
    graph = ir.convenience.extract(model.graph, step.reads, step.gives)
    return ir.Model(graph, ir_version=model.ir_version, functions=list(model.functions.values()))
