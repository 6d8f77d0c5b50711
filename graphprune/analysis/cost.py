"""What a model costs to run: multiply-accumulates, parameters and bytes, a node and in total."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir
from onnx import defs

from graphprune.analysis.constants import constant_tensor, named_constants, readers
from graphprune.graph.functions import is_packed
from graphprune.graph.nodes import named_subgraphs, nested_nodes

Dims = Mapping[str, int]
_Shape = tuple[int, ...] | None

_FLOATS = {ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE}
NUMBERS = {
    *_FLOATS,
    *(ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT4, ir.DataType.UINT4),
}
"""The types of parameters; constants of others are indices and shapes."""
# Operators with products of matrices inside that are not counted here, so that their cost is unknown and not zero.
_HIDDEN = {
    *("Attention", "CausalConvWithState", "DFT", "DeformConv", "Einsum"),
    *("GRU", "LSTM", "LinearAttention", "RNN", "STFT"),
}


@dataclass(frozen=True)
class NodeCost:
    """The cost of one node; None stands for what its shapes do not tell.

    Attributes:
        name: The node's name.
        op_type: Its operator, with the domain unless that is ONNX's own.
        macs: Multiply-accumulates of convolutions and matrix products; of packed weights, of the stored values only.
        parameters: Numbers in the constants that it, or its subgraphs, are the first to read.
        weight_bytes: Bytes of those constants as stored.
        activation_bytes: Bytes of the values that it reads and writes, without constants.
    """

    name: str
    op_type: str
    macs: int | None
    parameters: int
    weight_bytes: int
    activation_bytes: int | None


@dataclass(frozen=True)
class ModelCost:
    """The cost of the nodes of the main graph, in order."""

    nodes: tuple[NodeCost, ...]

    @property
    def macs(self) -> int | None:
        """Multiply-accumulates of all nodes, None where one is unknown."""
        return _total([node.macs for node in self.nodes])

    @property
    def parameters(self) -> int:
        """Numbers in all constants that nodes read."""
        return sum(node.parameters for node in self.nodes)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all constants that nodes read, as stored."""
        return sum(node.weight_bytes for node in self.nodes)

    @property
    def activation_bytes(self) -> int | None:
        """Bytes moved between nodes: a value counts when written and whenever read; None where one is unknown."""
        return _total([node.activation_bytes for node in self.nodes])

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of the nodes whose multiply-accumulates are not known."""
        return tuple(node.name for node in self.nodes if node.macs is None)


def batch_of_one(model: ir.Model) -> dict[str, int]:
    """Return 1 for each open first dimension of an input, by its name."""
    first = [value.shape[0] for value in model.graph.inputs if value.shape is not None and value.shape.rank()]
    return {str(dim.value): 1 for dim in first if not isinstance(dim, int) and dim.value is not None}


def model_cost(model: ir.Model, dims: Dims | None = None) -> ModelCost:
    """Count what each node of the main graph costs; no tensor is read.

    Args:
        model: A model with inferred shapes.
        dims: Extents for symbolic dimensions, by symbol; without one, what depends on it is None.

    Returns:
        The costs. An operator that is neither a convolution nor a matrix product counts no multiply-accumulates; one
        that hides some (recurrent ones, Einsum, Attention, those with subgraphs, calls of functions) counts None.
    """
    owned = _first_readers(model)
    return ModelCost(tuple(_node_cost(model, node, owned.get(node, ()), dims or {}) for node in model.graph))


def _first_readers(model: ir.Model) -> dict[ir.Node, list[ir.TensorProtocol]]:
    """Give each constant to the first node that reads it, directly or through Transpose and Identity.

    What is read inside a subgraph is read by the node of the main graph that has it.
    """
    outer = {inner: node for node in model.graph for inner in (node, *nested_nodes(node))}
    owned: dict[ir.Node, list[ir.TensorProtocol]] = {}
    for value, tensor in named_constants(model).values():
        perm = tuple(range(tensor.shape.rank()))
        first = next((reader.node for reader in readers(value, perm) if reader is not None), None)
        if first is not None:
            owned.setdefault(outer[first], []).append(tensor)
    return owned


def _node_cost(model: ir.Model, node: ir.Node, owned: Sequence[ir.TensorProtocol], dims: Dims) -> NodeCost:
    numbers = _FLOATS if is_packed(node) else NUMBERS  # the integers of a packed weight are indices
    decoded = constant_tensor(node.inputs[0]) if is_packed(node) else None  # unless it is quantized
    return NodeCost(
        name=node.name or "",
        op_type=f"{node.domain}.{node.op_type}" if node.domain else node.op_type,
        macs=_macs(model, node, dims),
        parameters=sum(tensor.size for tensor in owned if tensor.dtype in numbers or tensor is decoded),
        weight_bytes=sum(tensor.nbytes for tensor in owned),
        activation_bytes=_activation_bytes(node, dims),
    )


def _macs(model: ir.Model, node: ir.Node, dims: Dims) -> int | None:
    if is_packed(node):
        return _packed_macs(node, dims)
    if node.domain == "" and node.op_type in _MACS:
        return _MACS[node.op_type](node, dims)
    hidden = node.op_type in _HIDDEN or any(named_subgraphs(node))
    is_call = node.op_identifier() in model.functions or not defs.has(node.op_type, node.domain)
    return None if hidden or is_call else 0


def _convolution(node: ir.Node, dims: Dims, *, scanned: ir.Value | None, weight: int) -> int | None:
    """Every point of the scanned side meets the weight of one channel."""
    points, kernel = _shape(scanned, dims), _shape(node.inputs[weight], dims)
    return None if points is None or kernel is None else math.prod(points) * math.prod(kernel[1:])


def _product(node: ir.Node, dims: Dims, *, inner_axis: int) -> int | None:
    left, result = _shape(node.inputs[0], dims), _shape(node.outputs[0], dims)
    return None if left is None or result is None else math.prod(result) * left[inner_axis]


def _packed_macs(node: ir.Node, dims: Dims) -> int | None:
    """Every stored value meets every position of the result: batch times pixels, or tokens. Decoding takes none."""
    if constant_tensor(node.inputs[0]) is not None:
        return 0
    stored, result = _shape(node.inputs[1], dims), _shape(node.outputs[0], dims)
    rows = node.attributes.get_ints("weight_shape", (0,))[0]
    return None if stored is None or result is None else math.prod(stored) * (math.prod(result) // max(1, rows))


_MACS: dict[str, Callable[[ir.Node, Dims], int | None]] = {
    "Conv": lambda node, dims: _convolution(node, dims, scanned=node.outputs[0], weight=1),
    "ConvInteger": lambda node, dims: _convolution(node, dims, scanned=node.outputs[0], weight=1),
    "QLinearConv": lambda node, dims: _convolution(node, dims, scanned=node.outputs[0], weight=3),
    "ConvTranspose": lambda node, dims: _convolution(node, dims, scanned=node.inputs[0], weight=1),
    "Gemm": lambda node, dims: _product(node, dims, inner_axis=1 - node.attributes.get_int("transA", 0)),
    "MatMul": lambda node, dims: _product(node, dims, inner_axis=-1),
    "MatMulInteger": lambda node, dims: _product(node, dims, inner_axis=-1),
    "QLinearMatMul": lambda node, dims: _product(node, dims, inner_axis=-1),
}


def _activation_bytes(node: ir.Node, dims: Dims) -> int | None:
    read = {value for value in node.inputs if value is not None and constant_tensor(value) is None}
    return _total([_value_bytes(value, dims) for value in (*read, *node.outputs)])


def _value_bytes(value: ir.Value, dims: Dims) -> int | None:
    shape = _shape(value, dims)
    if shape is None or value.dtype is None or value.dtype == ir.DataType.STRING:
        return None
    return math.ceil(math.prod(shape) * value.dtype.itemsize)


def _shape(value: ir.Value | None, dims: Dims) -> _Shape:
    if value is None or value.shape is None:
        return None
    known = [dim if isinstance(dim, int) else dims.get(str(dim.value)) for dim in value.shape]
    extents = tuple(extent for extent in known if extent is not None)
    return extents if len(extents) == len(known) else None


def _total(amounts: Sequence[int | None]) -> int | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None
