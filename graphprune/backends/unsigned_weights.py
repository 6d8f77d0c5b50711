"""Products of bytes that ONNX Runtime computes exactly on every processor.

Without VNNI its kernels for unsigned inputs and signed weights add pairs of products in 16 bits, where they saturate;
for unsigned weights they do not (onnxruntime.ai, "Quantize ONNX models", on U8S8 and U8U8).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from graphprune.targets.cpuinfo import read_cpu

EXACT_FEATURES = {"avx512_vnni", "avx_vnni"}
"""Instruction sets whose products of bytes are summed in 32 bits."""

_SIGN = np.uint8(0x80)


class _Weight(NamedTuple):
    """Which inputs of a product are a weight and its zero point."""

    place: int
    zero_point: int


_WEIGHTS = {
    ("", "MatMulInteger"): (_Weight(1, 3),),
    ("", "QLinearMatMul"): (_Weight(3, 5),),
    ("", "QLinearConv"): (_Weight(3, 5),),
    ("com.microsoft", "MatMulIntegerToFloat"): (_Weight(1, 5),),
    ("com.microsoft", "DynamicQuantizeMatMul"): (_Weight(1, 3),),
    ("com.microsoft", "DynamicQuantizeLSTM"): (_Weight(1, 9), _Weight(2, 11)),
    ("com.microsoft", "QGemm"): (_Weight(3, 5),),
    ("com.microsoft", "QAttention"): (_Weight(1, 7),),
}


def saturates() -> bool:
    """Whether ONNX Runtime's products of unsigned by signed bytes saturate here: on a processor of x86 without VNNI."""
    features = read_cpu().features
    return "sse2" in features and not features & EXACT_FEATURES


def with_exact_products(model: ir.Model) -> ir.Model:
    """The model, or on a processor where its products would saturate, a copy whose weights are unsigned.

    A weight and its zero point are both moved by 128, which changes no difference between them.
    """
    if not saturates() or not any(map(_weights_of, model.graph)):
        return model
    model = model.clone()
    ShapeInferencePass()(model)
    for node in model.graph:
        for weight in _weights_of(node):
            if _takes_unsigned(node.inputs[0]):
                _move(node, weight)
    return model


def _weights_of(node: ir.Node) -> tuple[_Weight, ...]:
    return _WEIGHTS.get((node.domain, node.op_type), ())


def _takes_unsigned(x: ir.Value | None) -> bool:
    """Whether the inputs are unsigned bytes, or become such in the product."""
    return x is not None and x.dtype in {ir.DataType.UINT8, ir.DataType.FLOAT}


def _move(node: ir.Node, weight: _Weight) -> None:
    """Make a weight and its zero point unsigned, where they are signed."""
    values = node.inputs[weight.place]
    zero_point = node.inputs[weight.zero_point] if weight.zero_point < len(node.inputs) else None
    if values is None or values.dtype != ir.DataType.INT8:
        return
    node.resize_inputs(max(len(node.inputs), weight.zero_point + 1))
    node.replace_input_with(weight.place, _unsigned(node, values))
    moved = _new(node, f"{values.name}.zero", np.array(_SIGN)) if zero_point is None else _unsigned(node, zero_point)
    node.replace_input_with(weight.zero_point, moved)


def _unsigned(node: ir.Node, value: ir.Value) -> ir.Value:
    """Each element and 128: of a constant known here, else computed in front of the node."""
    if value.const_value is not None:
        return _new(node, f"{value.name}.unsigned", value.const_value.numpy().view(np.uint8) ^ _SIGN)
    assert node.graph is not None, "nodes come from a graph"
    wide = ir.node("Cast", [value], {"to": ir.DataType.INT32})
    moved = ir.node("Add", [wide.outputs[0], _new(node, "graphprune.sign", np.array(_SIGN, np.int32))])
    back = ir.node("Cast", [moved.outputs[0]], {"to": ir.DataType.UINT8})
    node.graph.insert_before(node, [wide, moved, back])
    return back.outputs[0]


def _new(node: ir.Node, name: str, array: np.ndarray) -> ir.Value:
    """An initializer of the node's graph, which may be there from another product by the same weight."""
    graph = node.graph
    assert isinstance(graph, ir.Graph), "nodes of the main graph are asked for"
    if name not in graph.initializers:
        tensor = ir.tensor(array, name=name)
        value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor)
        graph.register_initializer(value)
    return graph.initializers[name]
