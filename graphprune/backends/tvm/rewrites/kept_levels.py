"""Operators that only choose among the values that they read: what was quantized in front of them still is behind them.

Quantizers of other tools put nothing behind a pooling or a change of shape, so a product behind it would read floats.
"""

from __future__ import annotations

import onnx_ir as ir

from graphprune.analysis.constants import constant_tensor
from graphprune.passes.rewriting import bypass, graph_of
from graphprune.passes.shape_inference import infer_shapes

_MOVES = frozenset(("DepthToSpace", "Flatten", "Reshape", "Slice", "SpaceToDepth", "Squeeze", "Transpose", "Unsqueeze"))
_KEEPING = _MOVES | {"Concat", "MaxPool"}
_READERS = ("Conv", "Gemm", "MatMul", "QuantizeLinear")
_BYTES = (ir.DataType.INT8, ir.DataType.UINT8)


def keep_levels(model: ir.Model) -> None:
    """Give products behind such operators dequantized operands: the same numbers, of the same integers.

    What moves elements moves bytes, and a MaxPool takes the largest of them; where that is quantized by the same step
    again, it is done.
    """
    nodes, changed = list(model.graph), False
    wanted = _before_readers(nodes)
    for node in nodes:
        steps = [_step(value) for value in _data(node)] if node in wanted else []
        first = steps[0] if steps else None
        if first is None or any(step is None or not _same(step, first) for step in steps):
            continue
        _keep_bytes(node, first)
        changed = True
    if changed:
        infer_shapes(model)


def _before_readers(nodes: list[ir.Node]) -> set[ir.Node]:
    """Operators of one output that keep values, which a product or QuantizeLinear reads, perhaps through others."""
    found: set[ir.Node] = set()
    for node in reversed(nodes):
        others = any(out.uses() for out in node.outputs[1:]) or any(out.is_graph_output() for out in node.outputs)
        if node.domain or node.op_type not in _KEEPING or others:
            continue
        users = [use.node for use in node.outputs[0].uses()]
        if any(not user.domain and (user.op_type in _READERS or user in found) for user in users):
            found.add(node)
    return found


def _data(node: ir.Node) -> list[ir.Value | None]:
    return list(node.inputs if node.op_type == "Concat" else node.inputs[:1])


def _step(value: ir.Value | None) -> ir.Node | None:
    """The DequantizeLinear of activations of 8 bits by one step, if that makes a float32 value."""
    node = None if value is None or value.dtype != ir.DataType.FLOAT else value.producer()
    if node is None or node.op_type != "DequantizeLinear" or node.domain or node.inputs[0] is None:
        return None
    is_activation = node.inputs[0].dtype in _BYTES and constant_tensor(node.inputs[0]) is None
    tensors = [constant_tensor(given) for given in node.inputs[1:] if given is not None]
    is_one = all(tensor is not None and tensor.size == 1 for tensor in tensors)
    return node if is_activation and is_one and tensors[0] is not None and tensors[0].numpy().item() > 0 else None


def _same(one: ir.Node, other: ir.Node) -> bool:
    """Whether two of them have the same step and type."""
    return _type(one) == _type(other) and _numbers(one) == _numbers(other)


def _numbers(node: ir.Node) -> list[float]:
    scale, point = (constant_tensor(value) for value in (*node.inputs[1:], None)[:2])
    return [0.0 if tensor is None else float(tensor.numpy().item()) for tensor in (scale, point)]


def _keep_bytes(node: ir.Node, step: ir.Node) -> None:
    """Let `node` read the integers, and dequantize what it gives where that is not quantized by the same step."""
    for index, value in enumerate(_data(node)):
        source = None if value is None else value.producer()
        assert source is not None  # each is dequantized
        node.replace_input_with(index, source.inputs[0])
    output = node.outputs[0]
    users = list(output.uses())
    made = ir.node("DequantizeLinear", [output, *step.inputs[1:]], name=f"{node.name}.dequantized")
    made.outputs[0].type, made.outputs[0].shape = output.type, output.shape
    graph_of(node).insert_after(node, made)
    output.type = ir.TensorType(_type(step))
    for user, index in users:
        if user.op_type == "QuantizeLinear" and index == 0 and _restores(user, step):
            bypass(user, output)
        else:
            user.replace_input_with(index, made.outputs[0])


def _restores(node: ir.Node, step: ir.Node) -> bool:
    """Whether a QuantizeLinear gives the very integers that `step` dequantizes."""
    scale = constant_tensor(node.inputs[1])
    point = constant_tensor(node.inputs[2]) if len(node.inputs) > len("xs") else None
    is_one = scale is not None and scale.size == 1 and (len(node.inputs) == len("xs") or point is not None)
    is_free = not node.domain and not node.outputs[0].is_graph_output()
    return is_one and is_free and node.outputs[0].dtype == _type(step) and _numbers(node) == _numbers(step)


def _type(step: ir.Node) -> ir.DataType:
    """Of the integers."""
    dtype = None if step.inputs[0] is None else step.inputs[0].dtype
    assert dtype is not None  # it was found by its type
    return dtype
