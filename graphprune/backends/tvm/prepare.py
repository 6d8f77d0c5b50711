"""From a packed model to a graph that can be lowered: functions inlined, constants computed, everything static."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator
from onnx_ir.passes.common import InlinePass, RemoveUnusedNodesPass, TopologicalSortPass

from graphprune.errors import UnsupportedModelError
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
    fold_constants(model.graph)
    RemoveUnusedNodesPass()(model)
    infer_shapes(model)
    name_nodes(model.graph)
    _check(model.graph, operators)
    return model


def name_nodes(graph: ir.Graph) -> None:
    """Give every node without a name one, so that messages can name it."""
    for index, node in enumerate(graph):
        node.name = node.name or f"{node.op_type}_{index}"


def fold_constants(graph: ir.Graph) -> None:
    """Replace every node whose inputs are all constant by initializers with its results."""
    for node in graph:
        if node.domain == DOMAIN or node.op_type in RANDOM or any(_is_subgraph(a) for a in node.attributes.values()):
            continue
        if all(value is None or value.const_value is not None for value in node.inputs):
            for output, array in zip(node.outputs, evaluate(node), strict=False):
                output.const_value = ir.tensor(array, name=output.name)
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


def evaluate(node: ir.Node) -> list[np.ndarray]:
    """The outputs of a node whose inputs are all constant, by ONNX's reference evaluator."""
    arrays = [None if v is None or v.const_value is None else v.const_value.numpy() for v in node.inputs]
    feeds = {f"x{i}": np.asarray(array) for i, array in enumerate(arrays) if array is not None}
    names = ["" if array is None else f"x{i}" for i, array in enumerate(arrays)]
    outputs = [f"y{i}" for i in range(len(node.outputs))]
    proto = onnx.helper.make_node(node.op_type, names, outputs, name=node.name or "", domain=node.domain)
    proto.attribute.extend(ir.serde.serialize_attribute(a) for a in node.attributes.values())
    opset = node.version or onnx.defs.onnx_opset_version()
    graph = onnx.helper.make_graph(
        [proto],
        "constant",
        [
            onnx.helper.make_tensor_value_info(n, onnx.helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for n, a in feeds.items()
        ],
        [onnx.helper.make_empty_tensor_value_info(n) for n in outputs],
    )
    constant = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid(node.domain, opset)])
    return [np.asarray(result) for result in ReferenceEvaluator(constant).run(None, feeds)]


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
