"""Seeded weights of a sane scale for a graph that has only an architecture.

Every weight is drawn from a generator keyed by the seed and the weight's own name, so a weight does not depend on which
other weights a model has, nor on the version of the library that exported it.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphprune.testing.models.calibration import calibrate_batch_norms

_LOOK_THROUGH = frozenset({"Identity", "Transpose", "Unsqueeze", "Reshape", "Expand", "Cast"})
# What an operator's input is: a matrix to mix channels, that of gates, a scale around one, a shift around zero.
_KINDS: dict[str, dict[int, str]] = {
    "Conv": {1: "matrix", 2: "shift"},
    "ConvTranspose": {1: "matrix", 2: "shift"},
    **{kind: {1: "gates", 2: "gates", 3: "shift"} for kind in ("LSTM", "GRU", "RNN")},
    "Gemm": {1: "matrix", 2: "shift"},
    "MatMul": {0: "matrix", 1: "matrix"},
    "BatchNormalization": {1: "scale", 2: "shift", 3: "shift", 4: "scale"},
    "LayerNormalization": {1: "scale", 2: "shift"},
    "Mul": {0: "scale", 1: "scale"},
    "Add": {0: "shift", 1: "shift"},
    "Concat": {0: "shift", 1: "shift"},
    "Gather": {0: "shift"},
}


@dataclass(frozen=True)
class _Read:
    """How a weight is read: by which node, at which input, and whether it was transposed on the way."""

    node: ir.Node
    index: int
    transposed: bool

    @property
    def kind(self) -> str | None:
        return _KINDS.get(self.node.op_type, {}).get(self.index)


def seed_weights(model: ir.Model, seed: int = 0) -> None:
    """Replace every float32 weight of `model` by seeded random values, and calibrate its batch norms.

    Convolutions and `Gemm` get Kaiming-normal weights, `MatMul` unit gain, scales lie around one, biases around zero
    and running statistics are what the network really produces, so activations stay of order one through any depth.
    `ConstantOfShape` nodes that stand for weights become initializers of the same name. What no weight is (the bounds
    of a Clip) stays.

    Args:
        model: A model with static input shapes; its initializers are replaced, never written into.
        seed: Equal seeds give equal weights for equal names.
    """
    _materialize_filled_weights(model)
    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        if tensor is None or tensor.dtype != ir.DataType.FLOAT or tensor.size == 0 or len(tensor.shape) == 0:
            continue
        read = next((read for read in _reads(value) if read.kind is not None), None)
        if read is not None:
            rng = np.random.default_rng((seed, zlib.crc32(name.encode())))
            array = _draw(rng, read, tuple(tensor.shape.numpy()))
            value.const_value = ir.Tensor(array.astype(np.float32), name=name)
    calibrate_batch_norms(model, seed)


def _materialize_filled_weights(model: ir.Model) -> None:
    for node in [node for node in model.graph if node.op_type == "ConstantOfShape"]:
        shape_value, output = node.inputs[0], node.outputs[0]
        if shape_value is None or shape_value.const_value is None or output.is_graph_output():
            continue
        shape = [int(extent) for extent in shape_value.const_value.numpy()]
        weight = placeholder(output.name or "", *shape)
        output.replace_all_uses_with(weight)
        model.graph.remove(node, safe=True)
        model.graph.register_initializer(weight)
        if not shape_value.uses() and shape_value.name and shape_value.is_initializer():
            del model.graph.initializers[shape_value.name]


def placeholder(name: str, *shape: int) -> ir.Value:
    """A float32 weight of zeros, to be seeded."""
    tensor = ir.Tensor(np.zeros(shape, np.float32), name=name)
    return ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(shape), const_value=tensor)


def _reads(value: ir.Value, *, transposed: bool = False) -> Iterator[_Read]:
    for node, index in value.uses():
        if node.op_type in _LOOK_THROUGH and index == 0:
            yield from _reads(node.outputs[0], transposed=transposed ^ (node.op_type == "Transpose"))
        else:
            yield _Read(node, index, transposed)


def _draw(rng: np.random.Generator, read: _Read, shape: tuple[int, ...]) -> np.ndarray:
    if read.kind == "scale":
        return rng.uniform(0.8, 1.2, shape)
    if read.kind == "shift":
        return rng.standard_normal(shape) * 0.1
    # What Conv, ConvTranspose and Gemm read, a ReLU has mostly halved.
    gain = 1.0 if read.kind == "gates" or read.node.op_type == "MatMul" else 2.0
    return rng.standard_normal(shape) * math.sqrt(gain / _fan_in(read, shape))


def _fan_in(read: _Read, shape: tuple[int, ...]) -> int:
    if read.node.op_type == "Conv":
        return math.prod(shape[1:])
    if read.node.op_type == "ConvTranspose":  # of each output: all inputs, and the taps of its phase
        strides = read.node.attributes.get_ints("strides", ()) or ()
        return max(1, shape[0] * math.prod(shape[2:]) // math.prod(strides))
    if read.kind == "gates":
        return shape[-1]
    outputs_first = read.transposed ^ bool(read.node.attributes.get_int("transB", 0))
    return shape[-1] if outputs_first or len(shape) == 1 else shape[-2]
