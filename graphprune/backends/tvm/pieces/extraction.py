"""The parts of a graph as models of their own, which pass values to each other by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import onnx_ir as ir

from graphprune.backends.tvm.pieces.partition import Part, read_values
from graphprune.errors import UnsupportedModelError

PASSED = frozenset({
    *(ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BOOL, ir.DataType.STRING),
    *(ir.DataType.INT8, ir.DataType.INT16, ir.DataType.INT32, ir.DataType.INT64),
    *(ir.DataType.UINT8, ir.DataType.UINT16, ir.DataType.UINT32, ir.DataType.UINT64),
})  # fmt: skip
"""Element types of the arrays that ONNX Runtime takes and gives in Python."""


def compute_outputs(graph: ir.Graph) -> None:
    """Let a node give each output that is a constant, so that a part has it."""
    for value in {value: None for value in graph.outputs if value.is_initializer()}:
        name, value.name = value.name, f"{value.name}.constant"
        node = ir.node("Identity", [value], name=f"{name}.given")
        output = node.outputs[0]
        output.name, output.type, output.shape = name, value.type, value.shape
        for position, each in enumerate(graph.outputs):
            if each is value:
                graph.outputs[position] = output
        graph.append(node)


def extract_parts(model: ir.Model, parts: Sequence[Part]) -> list[ir.Model]:
    """A model for each part, whose inputs and outputs are called as in the whole graph; weights are shared.

    Raises:
        UnsupportedModelError: A value between two parts has an element type that ONNX Runtime does not pass in Python.
    """
    reads = [dict.fromkeys(_reads(part, model.graph)) for part in parts]  # in order, each once
    return [
        _extract(model, part, list(read), set(chain(*(each for each in reads if each is not read))))
        for part, read in zip(parts, reads, strict=True)
    ]


def _reads(part: Part, graph: ir.Graph) -> Iterator[ir.Value]:
    """The values that the nodes of a part read."""
    for node in part.nodes:
        yield from read_values(node, graph)


def _extract(model: ir.Model, part: Part, read: Sequence[ir.Value], read_elsewhere: set[ir.Value]) -> ir.Model:
    inside = set(part.nodes)
    inputs = [value for value in read if not value.is_initializer() and value.producer() not in inside]
    made = [value for node in part.nodes for value in node.outputs]
    outputs = [value for value in made if value.is_graph_output() or value in read_elsewhere]
    for value in (*inputs, *outputs):
        if value.dtype is not None and value.dtype not in PASSED:
            raise UnsupportedModelError(
                f"value '{value.name}' of {value.dtype} would pass between code and ONNX Runtime, which takes no such "
                "arrays",
                code="GP488",
            )
    graph = ir.convenience.extract(model.graph, inputs, outputs)
    return ir.Model(graph, ir_version=model.ir_version)
