"""Many layers in one ONNX model, each with inputs and an output of its own: one compilation for all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir

from tests.backends.tvm.layers import BYTES_PER_INTEGER, Bytes, Layer

FUNCTIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh"}


def _info(name: str, dtype: str, shape: Sequence[int] | None) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)


class LayerGraph:
    """A graph under construction, and what to feed it."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.feed: dict[str, np.ndarray] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._outputs = [self._add(layer, np.random.default_rng(layer.seed)) for layer in layers]

    def model(self) -> ir.Model:
        """The model, whose outputs are the layers' in order."""
        inputs = [_info(name, array.dtype.name, array.shape) for name, array in self.feed.items()]
        outputs = [_info(name, dtype, None) for name, dtype in self._outputs]
        graph = onnx.helper.make_graph(self._nodes, "layers", inputs, outputs, self._constants)
        opset = onnx.helper.make_opsetid("", 20)
        return ir.from_proto(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10))

    def _constant(self, array: np.ndarray) -> str:
        self._constants.append(onnx.numpy_helper.from_array(array, f"c{len(self._constants)}"))
        return str(self._constants[-1].name)

    def _input(self, array: np.ndarray) -> str:
        name = f"x{len(self.feed)}"
        self.feed[name] = array
        return name

    def _emit(self, op: str, inputs: Sequence[str], **attributes: float | Sequence[int]) -> str:
        name = f"v{len(self._nodes)}"
        node = onnx.helper.make_node(op, inputs, [name], f"n{len(self._nodes)}")
        node.attribute.extend(onnx.helper.make_attribute(key, value) for key, value in attributes.items())
        self._nodes.append(node)
        return name

    def _add(self, layer: Layer, rng: np.random.Generator) -> tuple[str, str]:
        operands = self._operands(layer, rng)
        if layer.bias is not None:
            operands.append(self._constant(layer.numbers(rng, layer.bias)))
        y = self._emit(layer.op, operands, **layer.attributes)
        for name in layer.tail:
            y = self._follow(layer, rng, name, y)
        if layer.bytes is None:
            return y, "float32"
        parameters = np.float32(2.0**layer.bytes.y_exponent), np.uint8(layer.bytes.y_zero)
        return self._emit("QuantizeLinear", [y, *map(self._constant, map(np.asarray, parameters))]), "uint8"

    def _operands(self, layer: Layer, rng: np.random.Generator) -> list[str]:
        if layer.bytes is not None:
            return self._quantized(layer, layer.bytes, rng)
        x = self._input(layer.numbers(rng, layer.x))
        if layer.zeros is None:
            return [x, self._input(layer.numbers(rng, layer.weight))]
        return [x, self._constant(layer.weights(rng))]

    def _quantized(self, layer: Layer, kind: Bytes, rng: np.random.Generator) -> list[str]:
        """An input of bytes and a constant weight of bytes, each behind DequantizeLinear."""
        limits = np.iinfo(kind.x)
        x = self._input(rng.integers(limits.min, limits.max + 1, layer.x).astype(kind.x))
        zero, scale = np.array(kind.x_zero, kind.x), np.array(0.25, np.float32)
        weight = (BYTES_PER_INTEGER * layer.weights(rng)).astype(np.int8)
        outputs = 0 if layer.op == "Conv" or layer.attributes.get("transB") else weight.ndim - 1
        scales = 2.0 ** rng.integers(-6, -2, weight.shape[outputs] if kind.by_output else ())
        constants = [self._constant(each) for each in (weight, np.asarray(scales, np.float32))]
        return [
            self._emit("DequantizeLinear", [x, self._constant(scale), self._constant(zero)]),
            self._emit("DequantizeLinear", constants, axis=outputs),
        ]

    def _follow(self, layer: Layer, rng: np.random.Generator, name: str, y: str) -> str:
        """Add a node behind `y`.

        `shift` adds and `scale` multiplies by a constant of each channel, `gate` by an input of each; `residual` adds
        an input, and `turned` one that has its channels at the other end.
        """
        if name in FUNCTIONS:
            return self._emit(FUNCTIONS[name], [y])
        if name == "swish":
            return self._emit("Mul", [y, self._emit("Sigmoid", [y])])
        if name in {"shift", "scale", "gate"}:
            place = self._input if name == "gate" else self._constant
            return self._emit("Add" if name == "shift" else "Mul", [y, place(layer.numbers(rng, layer.channel_shape))])
        if name == "residual":
            return self._emit("Add", [self._input(layer.numbers(rng, layer.y)), y])
        stored = tuple(layer.y[axis] for axis in np.argsort(layer.turned))
        turned = self._emit("Transpose", [self._input(layer.numbers(rng, stored))], perm=layer.turned)
        return self._emit("Add", [y, turned])
