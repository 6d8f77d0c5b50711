"""If with a constant condition: the branch taken becomes part of the graph."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import NameFixPass

from graphprune.passes.rewriting import constant_of


def inline_branches(model: ir.Model) -> bool:
    """Replace every If of the main graph whose condition is an initializer; True if there was one."""
    taken = [node for node in model.graph if node.op_type == "If" and node.domain == "" and _condition(node)]
    for node in taken:
        _inline(model.graph, node)
    if taken:
        NameFixPass()(model)
    return bool(taken)


def _condition(node: ir.Node) -> ir.TensorProtocol | None:
    return constant_of(node.inputs[0])


def _inline(graph: ir.Graph, node: ir.Node) -> None:
    condition = _condition(node)
    assert condition is not None
    branch = node.attributes["then_branch" if bool(condition.numpy().item()) else "else_branch"].as_graph()
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
    graph.remove(node, safe=True)


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
