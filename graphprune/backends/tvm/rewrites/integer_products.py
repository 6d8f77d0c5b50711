"""Products between DequantizeLinear and QuantizeLinear as products of the integers themselves.

`Conv(DequantizeLinear(x), DequantizeLinear(w))` is `ConvInteger(x, w)` times both scales, in real arithmetic; its sums
are exact. The weight becomes signed and loses its zero point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.tape import Tape

from graphprune.analysis.constants import constant_tensor
from graphprune.analysis.quantization import quantization_of
from graphprune.passes.rewriting import bypass, new_initializer

_BYTES = (ir.DataType.INT8, ir.DataType.UINT8)
_INTEGER_OF = {"Conv": "ConvInteger", "MatMul": "MatMulInteger", "Gemm": "MatMulInteger"}


@dataclass(frozen=True)
class _Activation:
    """Integers that stand for the activations, with one scale and perhaps a zero point."""

    integers: ir.Value
    scale: npt.NDArray[Any]
    zero_point: ir.Value | None


@dataclass(frozen=True)
class _Weight:
    """A weight as signed bytes without a zero point, [outputs, ...] of Conv, else [inputs, outputs], and its scales.

    There is one scale, or one for each output.
    """

    integers: npt.NDArray[np.int8]
    scale: npt.NDArray[Any]


def multiply_integers(graph: ir.Graph) -> bool:
    """Let every product of dequantized bytes by a dequantized constant be one of integers; True if there was one.

    The constants lie in initializers, and what DequantizeLinear makes of them has not been computed.
    """
    found = False
    for node in list(graph):
        if node.domain or node.op_type not in _INTEGER_OF or _is_more_than_product(node):
            continue
        x, weight = _activation(node.inputs[0]), _weight(node)
        if x is not None and weight is not None:
            _rewrite(graph, node, x, weight)
            found = True
    return found


def dequantize_apart(graph: ir.Graph) -> None:
    """Give each reader of dequantized values a DequantizeLinear of its own: what is kept in memory are the bytes."""
    for node in list(graph):
        if node.domain or node.op_type != "DequantizeLinear" or node.outputs[0].is_graph_output():
            continue
        output = node.outputs[0]
        for number, (user, index) in enumerate(list(output.uses())[1:], 1):
            own = ir.node(node.op_type, node.inputs, node.attributes, name=f"{node.name}.{number}")
            own.outputs[0].type, own.outputs[0].shape = output.type, output.shape
            graph.insert_after(node, own)
            user.replace_input_with(index, own.outputs[0])


def _is_more_than_product(node: ir.Node) -> bool:
    """Whether a Gemm has factors, or turns its first operand."""
    attributes = node.attributes
    factors = attributes.get_float("alpha", 1.0), attributes.get_float("beta", 1.0)
    return node.op_type == "Gemm" and (attributes.get_int("transA", 0) != 0 or factors != (1.0, 1.0))


def _dequantization(value: ir.Value | None) -> ir.Node | None:
    """The DequantizeLinear that makes a float32 value, if one does."""
    node = None if value is None or value.dtype != ir.DataType.FLOAT else value.producer()
    return None if node is None or node.domain or node.op_type != "DequantizeLinear" else node


def _activation(value: ir.Value | None) -> _Activation | None:
    node = _dequantization(value)
    if node is None or node.inputs[0] is None or node.inputs[0].dtype not in _BYTES:
        return None
    scale, point = constant_tensor(node.inputs[1]), node.inputs[2] if len(node.inputs) > len("xs") else None
    is_known = scale is not None and (point is None or constant_tensor(point) is not None)
    if not is_known or scale is None or scale.size != 1 or node.inputs[0].const_value is not None:
        return None
    return _Activation(node.inputs[0], scale.numpy(), point)


def _weight(node: ir.Node) -> _Weight | None:
    source = _dequantization(node.inputs[1])
    value = None if source is None else source.inputs[0]
    quantization, tensor = (None, None) if value is None else (quantization_of(value), constant_tensor(value))
    if quantization is None or tensor is None or tensor.dtype not in _BYTES:
        return None
    integers, scale = tensor.numpy().astype(np.int16) - quantization.zero_point.astype(np.int16), quantization.scale
    is_turned = node.op_type == "Gemm" and node.attributes.get_int("transB", 0) == 1
    outputs = 0 if node.op_type == "Conv" or is_turned else integers.ndim - 1
    shape = (1,) * (integers.ndim - scale.ndim) + scale.shape
    if any(n != 1 for axis, n in enumerate(shape) if axis != outputs) or not fits_signed_byte(integers):
        return None
    return _Weight((integers.T if is_turned else integers).astype(np.int8), scale.reshape(-1))


def fits_signed_byte(values: npt.NDArray[Any]) -> bool:
    """Whether all of these integers are signed bytes."""
    limits = np.iinfo(np.int8)
    return bool(limits.min <= values.min(initial=0) and values.max(initial=0) <= limits.max)


def _rewrite(graph: ir.Graph, node: ir.Node, x: _Activation, weight: _Weight) -> None:
    tape, name, quantize = Tape(), str(node.name), _quantization_behind(node.outputs[0])
    integers = _constant(graph, f"{name}.weight", weight.integers)
    attributes = node.attributes.values() if node.op_type == "Conv" else ()
    product = ir.Node("", _INTEGER_OF[node.op_type], [x.integers, integers, x.zero_point], attributes, name=name)
    scale = x.scale.astype(np.float64) * weight.scale
    spatial = weight.integers.ndim - 2 if node.op_type == "Conv" else 0
    levels = None if quantize is None else constant_tensor(quantize.inputs[1])
    scale = scale if levels is None else scale / float(levels.numpy().item())
    scales = _constant(graph, f"{name}.scale", scale.astype(np.float32).reshape(-1, *[1] * spatial))
    floats = tape.op("Cast", product.outputs, {"to": ir.DataType.FLOAT.value}, name=f"{name}.float")
    result = tape.op("Mul", [floats, scales], name=f"{name}.scaled")
    bias = node.inputs[2] if len(node.inputs) > len("xw") else None
    if bias is not None and spatial:
        shape = _constant(graph, f"{name}.bias_shape", np.array([-1, *[1] * spatial], np.int64))
        bias = tape.op("Reshape", [bias, shape], name=f"{name}.bias")
    if bias is not None and quantize is not None:
        bias = tape.op("Div", [bias, quantize.inputs[1]], name=f"{name}.levels")
    if bias is not None:
        result = tape.op("Add", [result, bias], name=f"{name}.biased")
    if quantize is not None:
        quantize.replace_input_with(1, _constant(graph, f"{quantize.name}.one", np.ones((), np.float32)))
    graph.insert_before(node, [product, *tape.nodes])
    bypass(node, result)


def _quantization_behind(value: ir.Value) -> ir.Node | None:
    """The QuantizeLinear by one scale that alone reads a value, perhaps behind Relu: dividing by its scale commutes."""
    uses = list(value.uses())
    if len(uses) != 1 or uses[0].idx != 0 or value.is_graph_output():
        return None
    node = uses[0].node
    if node.op_type == "Relu" and not node.domain:
        return _quantization_behind(node.outputs[0])
    scale = constant_tensor(node.inputs[1]) if node.op_type == "QuantizeLinear" and not node.domain else None
    return node if scale is not None and scale.size == 1 and scale.dtype == ir.DataType.FLOAT else None


def _constant(graph: ir.Graph, name: str, array: npt.NDArray[Any]) -> ir.Value:
    return new_initializer(graph, name, ir.tensor(np.ascontiguousarray(array), name=name))
