"""Values that are known before the first run because shapes are: Shape, Size, EyeLike, tensors without elements."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir


def fold_static_values(graph: ir.Graph) -> bool:
    """Make initializers of what the static shapes determine; True if there was any."""
    changed = False
    for value in [*graph.inputs, *(output for node in graph for output in node.outputs)]:
        tensor = _static_value(value)
        if tensor is not None and (value.uses() or (value.is_graph_output() and not value.is_graph_input())):
            become_initializer(graph, value, tensor)
            changed = True
    return changed


def become_initializer(graph: ir.Graph, value: ir.Value, tensor: ir.TensorProtocol) -> None:
    """Let everything that reads `value` read an initializer instead.

    An output of the graph becomes the initializer itself; an input of the graph stays one, but is not read.
    """
    constant = ir.Value(
        name=value.name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(tensor.shape.numpy()), const_value=tensor
    )
    if value.is_graph_input():
        constant.name = f"{value.name}.empty"
        value.replace_all_uses_with(constant)
    else:
        value.name = f"{value.name}.computed"
        value.replace_all_uses_with(constant, replace_graph_outputs=True)
    graph.register_initializer(constant)


def _static_value(value: ir.Value) -> ir.TensorProtocol | None:
    node = value.producer()
    if node is not None and node.domain == "" and node.op_type in ("Shape", "Size"):
        return _shape_result(node)
    dims = _dims(value)
    if node is not None and node.domain == "" and node.op_type == "EyeLike" and dims and value.dtype is not None:
        identity = np.eye(dims[0], dims[1], k=node.attributes.get_int("k", 0))
        return ir.tensor(identity.astype(value.dtype.numpy()), value.dtype)
    if dims is None or 0 not in dims or value.dtype in (None, ir.DataType.STRING):
        return None
    assert value.dtype is not None
    return ir.tensor(np.zeros(dims, value.dtype.numpy()))


def _shape_result(node: ir.Node) -> ir.TensorProtocol | None:
    dims = _dims(node.inputs[0])
    if dims is None:
        return None
    if node.op_type == "Size":
        return ir.tensor(np.array(np.prod(dims, dtype=np.int64), np.int64))
    start, end = node.attributes.get_int("start", 0), node.attributes.get_int("end", len(dims))
    return ir.tensor(np.array(dims[start:end], np.int64))


def _dims(value: ir.Value | None) -> tuple[int, ...] | None:
    if value is None or value.shape is None or not value.shape.is_static():
        return None
    return tuple(int(d) for d in value.shape.numpy())
