"""Functions of one element in front of what only moves elements, so that they join the kernel that computes them.

A transposed convolution, for instance, ends with its phases put in place: a Relu behind it would be a pass over memory
of its own, and in front of the moves it is the convolution's epilogue.
"""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from graphprune.backends.tvm.operators.scalar import CHANNEL_OPERANDS, SCALAR
from graphprune.graph.functions import DOMAIN
from graphprune.packed.forms import CALLS
from graphprune.passes.rewriting import bypass, constant_of, why_not_bypass

_FUNCTIONS = frozenset(SCALAR) - frozenset(CHANNEL_OPERANDS)  # where the channels lie counts for these
_MOVES = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Concat"})
_PRODUCTS = frozenset({*(("", name) for name in ("Conv", "MatMul", "Gemm")), *((DOMAIN, name) for name in CALLS)})


def lift_functions(graph: ir.Graph) -> bool:
    """Move every function of one element whose operand was only moved since a product; True if there was one."""
    ends = {node.outputs[0] for node in graph if (node.domain, node.op_type) in _PRODUCTS}
    lifted = False
    for node in list(graph):
        operand = _operand(node)
        sources = None if operand is None or why_not_bypass(node, operand) else _sources(operand, ends)
        if operand is None or sources is None or sources == [operand]:
            continue
        if all(_fits(node, operand, source) for source in sources):
            ends.update([_apply_to(graph, node, operand, source) for source in sources])
            bypass(node, operand)
            lifted = True
    return lifted


def _operand(node: ir.Node) -> ir.Value | None:
    """The only operand that is computed, of a function that keeps its type and shape; None of any other node."""
    if node.domain or node.op_type not in _FUNCTIONS or len(node.outputs) != 1:
        return None
    computed = [value for value in node.inputs if value is not None and constant_of(value) is None]
    output = node.outputs[0]
    if len(computed) != 1 or computed[0].shape != output.shape or computed[0].dtype != output.dtype:
        return None
    return computed[0]


def _sources(value: ir.Value, ends: Collection[ir.Value]) -> list[ir.Value] | None:
    """Those of `ends` that `value` is made of by moves alone, where nothing else reads them on the way, else None."""
    producer = value.producer()
    if producer is None or value.is_graph_output() or len(value.uses()) != 1:
        return None
    if value in ends:
        return [value]
    if producer.domain or producer.op_type not in _MOVES:
        return None
    moved = producer.inputs if producer.op_type == "Concat" else producer.inputs[:1]
    parts = [None if each is None else _sources(each, ends) for each in moved]
    return None if None in parts else [source for part in parts if part is not None for source in part]


def _fits(node: ir.Node, operand: ir.Value, source: ir.Value) -> bool:
    """Whether the other operands are numbers, so that they mean the same wherever the element is."""
    rank = 0 if source.shape is None else source.shape.rank()
    others = [constant_of(value) for value in node.inputs if value is not None and value is not operand]
    return all(tensor is not None and tensor.size == 1 and tensor.shape.rank() <= rank for tensor in others)


def _apply_to(graph: ir.Graph, node: ir.Node, operand: ir.Value, source: ir.Value) -> ir.Value:
    """The function of `source`, which all that reads the source then reads instead."""
    inputs = [source if value is operand else value for value in node.inputs]
    output = ir.Value(name=f"{node.outputs[0].name}.{source.name}", type=source.type, shape=source.shape)
    copy = ir.Node(
        node.domain,
        node.op_type,
        inputs,
        list(node.attributes.values()),
        outputs=[output],
        name=f"{node.name}.{source.name}",
    )
    source.replace_all_uses_with(output)
    copy.replace_input_with(node.inputs.index(operand), source)
    producer = source.producer()
    assert producer is not None
    graph.insert_after(producer, copy)
    return output
