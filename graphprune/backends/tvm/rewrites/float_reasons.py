"""Why products of quantized operands run in float32, for `--explain`: said where it is decided, by node."""

from __future__ import annotations

import onnx_ir as ir

from graphprune.analysis.constants import constant_tensor
from graphprune.analysis.quantization import quantization_of
from graphprune.backends.tvm.lowering.graph import FLOAT32

_BYTES = (ir.DataType.INT8, ir.DataType.UINT8)
_INTEGER_PRODUCTS = ("ConvInteger", "MatMulInteger")
_PRODUCTS = ("Conv", "MatMul", "Gemm", "ConvTranspose", "LSTM", "GRU", "RNN", "Einsum")
_OTHERS = ("AveragePool", "GlobalAveragePool", "LayerNormalization", "ReduceMean", "Resize", "Softmax")


def reason_of(node: ir.Node) -> str | None:
    """Return why no product of integers was made of a node that reads dequantized activations; None of others."""
    activations = [value for value in node.inputs if _dequantization(value) is not None and not _is_constant(value)]
    if node.domain or not activations or node.op_type not in (*_PRODUCTS, *_OTHERS):
        return None
    if node.op_type not in ("Conv", "MatMul", "Gemm"):
        return f"{node.op_type} has no kernel for integers"
    return _input_reason(node.inputs[0]) or _weight_reason(node.inputs[1]) or "it has factors, or a turned input"


def refused_product(node: ir.Node, refusal: str | None) -> bool:
    """Return whether `node` is a product of integers that the kernels for them refuse for good.

    One with zero points is written as one without, and then taken.
    """
    point = any(value is not None for value in node.inputs[2:]) and node.op_type == "MatMulInteger"
    return node.op_type in _INTEGER_PRODUCTS and not node.domain and refusal is not None and not point


def mark(graph: ir.Graph, reasons: dict[str, str]) -> None:
    """Note the reasons on the products of floats that were made of nodes of these names."""
    for node in graph:
        if node.op_type not in (*_PRODUCTS, *_OTHERS) or node.domain:
            continue
        names = [name for name in reasons if node.name == name or str(node.name).startswith(f"{name}.")]
        if names:
            node.metadata_props[FLOAT32] = reasons[max(names, key=len)]


def _dequantization(value: ir.Value | None) -> ir.Node | None:
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type == "DequantizeLinear" and not node.domain else None


def _is_constant(value: ir.Value | None) -> bool:
    node = _dequantization(value)
    return constant_tensor(value if node is None else node.inputs[0]) is not None


def _input_reason(value: ir.Value | None) -> str | None:
    node = _dequantization(value)
    if node is None or node.inputs[0] is None:
        return "its input is not quantized"
    scale = constant_tensor(node.inputs[1])
    if scale is None or scale.size != 1:
        return "the scale of its input is not one constant"
    return _type_reason(node.inputs[0], "input")


def _weight_reason(value: ir.Value | None) -> str | None:
    if not _is_constant(value):
        return "both operands are activations"
    node = _dequantization(value)
    if node is None or node.inputs[0] is None:
        return "its weight is not quantized"
    quantization = quantization_of(node.inputs[0])
    if quantization is None:
        return "the scales of its weight are not constant"
    if reason := _type_reason(node.inputs[0], "weight"):
        return reason
    if sum(size != 1 for size in quantization.scale.shape) > 1:
        return "its weight has a scale for each block"
    return "its weight has scales along its inputs, or is no signed bytes without its zero point"


def _type_reason(value: ir.Value, what: str) -> str | None:
    if value.dtype in _BYTES or value.dtype is None:
        return None
    return f"its {what} is of {value.dtype.name.lower()}, not of bytes"
