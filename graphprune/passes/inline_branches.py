"""If with a constant condition: the branch taken becomes part of the graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir
from onnx_ir.passes.common import NameFixPass

from graphprune.diagnostics import Rewrite
from graphprune.graph.nodes import describe
from graphprune.passes.base import Equivalence, Pass, PassOutcome, refuse
from graphprune.passes.rewriting import constant_of, drop_unused
from graphprune.stages.stage import Stage


@dataclass(frozen=True)
class InlineBranches(Pass):
    """Replace each `If` of the main graph whose condition is constant by the branch that it takes.

    Weights that live in that branch get the name of the `If` before theirs; what only the other one reads goes.

    Before::

        g (float[2] x) => (float[2] y) <bool yes = {1}> {
            [first] a = Neg (x)
            [choice] y = If (yes) <then_branch = t () => (float[2] p) { [taken] p = Relu (a) },
                                   else_branch = e () => (float[2] q) { [left] q = Abs (a) }>
        }

    After::

        g (float[2] x) => (float[2] y) {
            [first] a = Neg (x)
            [taken] p = Relu (a)
            ["choice.y"] y = Identity (p)
        }

    Refuses: GP159 the condition is known only at run time.
    """

    name: ClassVar[str] = "inline-branches"
    consumes: ClassVar[frozenset[Stage]] = frozenset(Stage)
    equivalence: ClassVar[Equivalence] = (
        Equivalence.REASSOCIATED
    )  # as ONNX Runtime sums products in and out of branches

    def apply(self, model: ir.Model) -> PassOutcome:
        """Inline them until there is none, because a branch may hold others."""
        rewrites: list[Rewrite] = []
        while taken := _decided(model):
            rewrites += [Rewrite("branch", node.name or "", "the branch that it takes replaces it") for node in taken]
            inline_branches(model)
        skips = [
            refuse("GP159", node, f"{describe(node)}: its condition is known only at run time")
            for node in model.graph
            if _is_branch(node)
        ]
        return PassOutcome(tuple(rewrites), tuple(skips))


def inline_branches(model: ir.Model) -> bool:
    """Replace every If of the main graph whose condition is an initializer; True if there was one."""
    taken = _decided(model)
    for node in taken:
        _inline(model.graph, node)
    if taken:
        NameFixPass()(model)
    return bool(taken)


def _decided(model: ir.Model) -> list[ir.Node]:
    return [node for node in model.graph if _is_branch(node) and constant_of(node.inputs[0]) is not None]


def _is_branch(node: ir.Node) -> bool:
    return node.op_type == "If" and node.domain == ""


def _inline(graph: ir.Graph, node: ir.Node) -> None:
    condition = node.inputs[0]
    tensor = constant_of(condition)
    assert condition is not None
    assert tensor is not None
    names = ("then_branch", "else_branch") if bool(tensor.numpy().item()) else ("else_branch", "then_branch")
    branch, other = (node.attributes[name].as_graph() for name in names)
    results = list(branch.outputs)
    branch.outputs.clear()
    for name, value in list(branch.initializers.items()):
        del branch.initializers[name]
        value.name = f"{node.name}.{name}"
        graph.register_initializer(value)
    nodes = list(branch)
    branch.remove(nodes)
    graph.insert_before(node, nodes)
    for output, result in zip(node.outputs, results, strict=True):
        _replace_output(graph, node, output, result)
    unread = _detach(other)
    graph.remove(node, safe=True)
    drop_unused([condition, *unread])


def _detach(branch: ir.Graph) -> list[ir.Value]:
    """Let the nodes of a branch that is not taken read nothing; return what they read."""
    read: list[ir.Value] = []
    branch.outputs.clear()
    for node in branch.all_nodes():
        for index, value in enumerate(node.inputs):
            if value is not None:
                node.replace_input_with(index, None)
                read.append(value)
    return [value for value in dict.fromkeys(read) if value.graph is not branch]


def _replace_output(graph: ir.Graph, node: ir.Node, output: ir.Value, result: ir.Value) -> None:
    """Let all readers of `output` read `result`; an output of the graph keeps its name by way of an Identity."""
    if not output.is_graph_output():
        output.replace_all_uses_with(result)
        return
    keep = ir.node("Identity", [result], name=f"{node.name}.{output.name}")
    keep.outputs[0].type, keep.outputs[0].shape = output.type, output.shape
    name, output.name = output.name, f"{output.name}.branch"
    keep.outputs[0].name = name
    graph.insert_before(node, keep)
    output.replace_all_uses_with(keep.outputs[0], replace_graph_outputs=True)
