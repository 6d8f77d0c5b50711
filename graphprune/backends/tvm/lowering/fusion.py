"""Fusion of nodes into kernels: an anchor, and the element-wise region that can follow it in registers."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import networkx as nx
import onnx_ir as ir

_SINK = "sink"
_WIDENING = frozenset({"DequantizeLinear"})
"""Operators that kernels of products take in as operands: they then read a quarter of the bytes."""


@dataclass(frozen=True)
class Group:
    """One kernel: `anchor` and the element-wise nodes fused behind it, in topological order.

    Every value inside is used only inside; `output` is the single value that leaves through the last node. The anchor's
    other outputs, where it has several, leave too (such an anchor has no region). The groups of `before` are computed
    within the kernel, a part at a time; each is read by the next one only, the last one by the anchor.
    """

    anchor: ir.Node
    region: tuple[ir.Node, ...] = ()
    before: tuple[Group, ...] = ()

    @property
    def last(self) -> ir.Node:
        """The node whose output leaves the group."""
        return self.region[-1] if self.region else self.anchor

    @property
    def output(self) -> ir.Value:
        """The value that leaves the group."""
        return self.last.outputs[0]

    @property
    def nodes(self) -> tuple[ir.Node, ...]:
        """All of them."""
        return (*(node for group in self.before for node in group.nodes), self.anchor, *self.region)

    def external_inputs(self) -> list[ir.Value]:
        """Values the region reads that the group does not compute, each once, in order of use."""
        inner = {out for node in self.nodes for out in node.outputs}
        values = (v for node in self.region for v in node.inputs if v is not None)
        return [v for v in dict.fromkeys(values) if v not in inner]


def fuse(graph: ir.Graph, elementwise: Collection[str], anchors: Collection[str]) -> list[Group]:
    """Partition the nodes of a topologically sorted graph into groups, in an order in which they can run.

    `elementwise` names the operators that may join a region, `anchors` those that may be followed by one (element-wise
    operators may always). A region grows from its anchor to the anchor's post-dominator as long as all nodes between
    are element-wise and keep the anchor's shape; this takes in residual additions as well as branches that meet again
    (GELU). It takes in what only it reads as well: bytes that become floats, and, behind an element-wise anchor, any
    operand (the other half of a gate). Anchors that are not element-wise come first.
    """
    nodes = list(graph)
    position = {node: i for i, node in enumerate(nodes)}
    ipdom = _post_dominators(nodes, set(graph.outputs))
    taken: set[ir.Node] = set()
    groups = []
    for node in sorted(nodes, key=lambda node: node.op_type in elementwise):
        if node in taken:
            continue
        region = _region(node, ipdom, elementwise, anchors, taken)
        if node.op_type in elementwise:
            region |= _operands({node, *region}, elementwise, anchors, taken)
        else:
            region |= _operands(region, _WIDENING, anchors, taken)
        taken.update((node, *region))
        groups.append(Group(node, tuple(sorted(region, key=position.__getitem__))))
    return sorted(groups, key=lambda group: position[group.last])


def _post_dominators(nodes: Iterable[ir.Node], outputs: set[ir.Value]) -> dict[ir.Node | str, ir.Node | str]:
    """The immediate post-dominator of every node; `_SINK` stands for the graph's outputs and unused values."""
    reverse: nx.DiGraph[ir.Node | str] = nx.DiGraph()
    reverse.add_node(_SINK)
    for node in nodes:
        for out in node.outputs:
            users = [user for user, _ in out.uses()]
            if (
                out in outputs
                or (not users and len(node.outputs) == 1)
                or any(u.graph is not node.graph for u in users)
            ):
                reverse.add_edge(_SINK, node)
            for user in users:
                if user.graph is node.graph:
                    reverse.add_edge(user, node)
        if not any(out.uses() for out in node.outputs):
            reverse.add_edge(_SINK, node)
    return dict(nx.immediate_dominators(reverse, _SINK))


def _region(
    anchor: ir.Node,
    ipdom: dict[ir.Node | str, ir.Node | str],
    elementwise: Collection[str],
    anchors: Collection[str],
    taken: set[ir.Node],
) -> set[ir.Node]:
    region: set[ir.Node] = set()
    if anchor.op_type not in elementwise and anchor.op_type not in anchors:
        return region
    if len(anchor.outputs) != 1:
        return region
    shape, head = anchor.outputs[0].shape, anchor
    while True:
        stop = ipdom.get(head, _SINK)
        if isinstance(stop, str):
            return region
        between = _between(head, stop)
        if any(
            n.op_type not in elementwise or n in taken or len(n.outputs) != 1 or n.outputs[0].shape != shape
            for n in between
        ):
            return region
        region |= between
        head = stop


def _operands(
    readers: set[ir.Node], operators: Collection[str], anchors: Collection[str], taken: Collection[ir.Node]
) -> set[ir.Node]:
    """The nodes of these operators that only element-wise readers read, unless they can follow an anchor of their own.

    What only these read is among them, too.
    """
    found, pending = set[ir.Node](), [*readers]
    while pending:
        reader = pending.pop()
        for node in filter(None, (value.producer() for value in reader.inputs if value is not None)):
            if node in taken or node in found or node in readers or node.op_type not in operators:
                continue
            if _is_read_only_by(readers | found, node, reader) and not any(_follows(v, anchors) for v in node.inputs):
                found.add(node)
                pending.append(node)
    return found


def _is_read_only_by(readers: Collection[ir.Node], node: ir.Node, reader: ir.Node) -> bool:
    """Whether nothing but these reads what a node computes, which has the shape of what the reader does."""
    if len(node.outputs) != 1 or node.graph is not reader.graph:
        return False
    (output,) = node.outputs
    alone = all(user in readers for user, _ in output.uses()) and not output.is_graph_output()
    return alone and output.shape == reader.outputs[0].shape


def _follows(value: ir.Value | None, anchors: Collection[str]) -> bool:
    producer = None if value is None else value.producer()
    return producer is not None and producer.op_type in anchors


def _between(head: ir.Node, stop: ir.Node) -> set[ir.Node]:
    """Every node on a path from `head` (not included) to its post-dominator `stop` (included)."""
    found: set[ir.Node] = set()
    pending = list(head.outputs[0].consumers())
    while pending:
        node = pending.pop()
        if node in found:
            continue
        found.add(node)
        if node is not stop:
            pending.extend(user for out in node.outputs for user in out.consumers())
    return found
