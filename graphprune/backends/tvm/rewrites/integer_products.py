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
from graphprune.passes.fresh_names import FreshNames
from graphprune.passes.rewriting import bypass, graph_of, new_initializer

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


def multiply_integers(model: ir.Model) -> bool:
    """Let every product of dequantized bytes by a dequantized constant be one of integers; True if there was one.

    The constants lie in initializers, and what DequantizeLinear makes of them has not been computed.
    """
    names, found = FreshNames(model), False
    for node in list(model.graph):
        if node.domain or node.op_type not in _INTEGER_OF or _is_more_than_product(node):
            continue
        x, weight = _activation(node.inputs[0]), _weight(node)
        if x is not None and weight is not None:
            _Product(node, x, weight, names).rewrite()
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


@dataclass(frozen=True)
class _Product:
    """A product, its operands, and names for what takes its place."""

    node: ir.Node
    x: _Activation
    weight: _Weight
    names: FreshNames

    def rewrite(self) -> None:
        """Put the product of integers in its place, times the scales, over that of what is quantized next."""
        tape, name, quantize = Tape(), str(self.node.name), _quantization_behind(self.node.outputs[0])
        operands = [self.x.integers, self._constant("integers", self.weight.integers), self.x.zero_point]
        attributes = self.node.attributes.values() if self.spatial else ()
        product = ir.Node("", _INTEGER_OF[self.node.op_type], operands, attributes, name=name)
        levels = None if quantize is None else quantize.inputs[1]
        floats = tape.op("Cast", product.outputs, {"to": ir.DataType.FLOAT.value}, name=f"{name}.float")
        result = tape.op("Mul", [floats, self._scales(levels)], name=f"{name}.scaled")
        bias = self.node.inputs[2] if len(self.node.inputs) > len("xw") else None
        if bias is not None:
            result = tape.op("Add", [result, self._bias(tape, bias, levels)], name=f"{name}.biased")
        if quantize is not None:
            quantize.replace_input_with(1, self._constant("one", np.ones((), np.float32)))
        graph_of(self.node).insert_before(self.node, [product, *tape.nodes])
        bypass(self.node, result)

    @property
    def spatial(self) -> int:
        """The axes of a convolution."""
        return self.weight.integers.ndim - 2 if self.node.op_type == "Conv" else 0

    def _scales(self, levels: ir.Value | None) -> ir.Value:
        """By output, over the scale of `levels` if there are some; rounded once."""
        scale, tensor = self.x.scale.astype(np.float64) * self.weight.scale, constant_tensor(levels)
        scale = scale if tensor is None else scale / float(tensor.numpy().item())
        return self._constant("scale", scale.astype(np.float32).reshape(-1, *[1] * self.spatial))

    def _bias(self, tape: Tape, bias: ir.Value, levels: ir.Value | None) -> ir.Value:
        if self.spatial:
            bias = tape.op("Reshape", [bias, self._constant("shape", np.array([-1, *[1] * self.spatial], np.int64))])
        return bias if levels is None else tape.op("Div", [bias, levels])

    def _constant(self, what: str, array: npt.NDArray[Any]) -> ir.Value:
        name = self.names.take(f"{self.node.name}.{what}")
        return new_initializer(graph_of(self.node), name, ir.tensor(np.array(array, order="C"), name=name))


def _quantization_behind(value: ir.Value) -> ir.Node | None:
    """The QuantizeLinear by one scale that alone reads a value, perhaps behind Relu: dividing by its scale commutes."""
    uses = list(value.uses())
    if len(uses) != 1 or uses[0].idx != 0 or value.is_graph_output():
        return None
    node = uses[0].node
    if node.op_type == "Relu" and not node.domain:
        return _quantization_behind(node.outputs[0])
    scale = constant_tensor(node.inputs[1]) if node.op_type == "QuantizeLinear" and not node.domain else None
    if scale is None or scale.size != 1 or scale.dtype != ir.DataType.FLOAT:
        return None
    return node if scale.numpy().item() > 0 else None
