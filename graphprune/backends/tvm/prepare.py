"""From a packed model to a graph that can be lowered: functions inlined, constants computed, everything static."""

from __future__ import annotations

import contextlib
from collections.abc import Collection

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass, RemoveUnusedNodesPass, TopologicalSortPass

from graphprune.errors import UnsupportedModelError
from graphprune.passes.evaluation import CannotEvaluateError, evaluate
from graphprune.passes.shape_inference import infer_shapes
from graphprune.stages import DOMAIN

RANDOM = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
)


def prepare(model: ir.Model, operators: Collection[str]) -> ir.Model:
    """A copy of `model` that is ready to be lowered.

    Functions other than packed calls are inlined, constant sub-graphs computed, shapes inferred and nodes sorted.

    Raises:
        UnsupportedModelError: lists every node whose operator is not in `operators`, or whose outputs have no static
            shape.
    """
    model = model.clone()
    InlinePass(criteria=lambda function: function.domain != DOMAIN)(model)
    TopologicalSortPass()(model)
    infer_shapes(model)
    fold_constants(model)
    RemoveUnusedNodesPass()(model)
    infer_shapes(model)
    name_nodes(model.graph)
    _check(model.graph, operators)
    return model


def name_nodes(graph: ir.Graph) -> None:
    """Give every node without a name one, so that messages can name it."""
    for index, node in enumerate(graph):
        node.name = node.name or f"{node.op_type}_{index}"


def fold_constants(model: ir.Model) -> None:
    """Replace every node whose inputs are all constant by initializers with its results."""
    graph = model.graph
    for node in graph:
        if node.domain == DOMAIN or node.op_type in RANDOM or any(_is_subgraph(a) for a in node.attributes.values()):
            continue
        if all(value is None or value.const_value is not None for value in node.inputs):
            with contextlib.suppress(CannotEvaluateError):
                for output, tensor in zip(node.outputs, evaluate(model, node), strict=True):
                    output.const_value = tensor
    folded = [node for node in graph if any(output.const_value is not None for output in node.outputs)]
    kept = set(graph.outputs)
    for node in folded:
        if kept.intersection(node.outputs):
            continue
        for output in node.outputs:
            if output.uses():
                _become_initializer(graph, output)
    removable = [node for node in folded if not kept.intersection(node.outputs)]
    graph.remove(removable, safe=True)


def _become_initializer(graph: ir.Graph, output: ir.Value) -> None:
    assert output.const_value is not None
    value = ir.Value(
        name=output.name,
        type=ir.TensorType(output.const_value.dtype),
        shape=ir.Shape(output.const_value.shape.numpy()),
        const_value=output.const_value,
    )
    output.replace_all_uses_with(value)
    graph.register_initializer(value)


def _is_subgraph(attribute: ir.Attr) -> bool:
    return attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)


def _check(graph: ir.Graph, operators: Collection[str]) -> None:
    unsupported = [
        f"'{node.name}' ({node.op_identifier()[0]}::{node.op_type})"
        if node.domain not in ("", DOMAIN)
        else f"'{node.name}' ({node.op_type})"
        for node in graph
        if node.domain not in ("", DOMAIN) or node.op_type not in operators
    ]
    if unsupported:
        raise UnsupportedModelError(f"cannot lower {len(unsupported)} nodes: {', '.join(unsupported)}", code="GP401")
    unknown = [f"'{value.name}'" for node in graph for value in node.outputs if not _is_static(value)]
    if unknown:
        raise UnsupportedModelError(f"no static shape for {len(unknown)} values: {', '.join(unknown)}", code="GP402")


def _is_static(value: ir.Value) -> bool:
    return value.shape is not None and value.dtype is not None and all(isinstance(d, int) for d in value.shape)
