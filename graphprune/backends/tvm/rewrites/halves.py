"""Half-precision floats in float32: a node between casts, rounded once at the end."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from graphprune.passes.definition import Definition

HALVES = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def has_halves(node: ir.Node) -> bool:
    """Whether the node reads or writes half-precision floats."""
    return any(value is not None and value.dtype in HALVES for value in (*node.inputs, *node.outputs))


def in_float32(node: ir.Node) -> onnx.FunctionProto:
    """The node on float32 copies of its half-precision inputs; half-precision outputs are cast back."""
    define = Definition(node)
    inputs = [_widened(define, index) for index in range(len(node.inputs))]
    results = [f"wide{i}" for i in range(len(node.outputs))]
    proto = onnx.helper.make_node(node.op_type, inputs, results, domain=node.domain)
    proto.attribute.extend(ir.serde.serialize_attribute(attribute) for attribute in node.attributes.values())
    define.nodes.append(proto)
    return define.finish(*(_narrowed(define, i, name) for i, name in enumerate(results)))


def _widened(define: Definition, index: int) -> str:
    value = define.node.inputs[index]
    if value is None or value.dtype not in HALVES:
        return define.inputs[index]
    return define("Cast", define.inputs[index], to=int(ir.DataType.FLOAT))


def _narrowed(define: Definition, index: int, name: str) -> str:
    dtype = define.node.outputs[index].dtype
    return define("Cast", name, to=int(dtype)) if dtype in HALVES else name
