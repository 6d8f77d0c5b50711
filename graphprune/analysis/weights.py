"""Linear weights: constants that products and recurrent nodes multiply by, and those pruned by default."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.analysis.constants import Reader, constant_tensor, constants, is_constant, named_constants
from graphprune.analysis.products import is_convolution, is_recurrent, is_transposed, reads_weight, why_no_product
from graphprune.analysis.quantization import Quantization, dequantized_readers, quantization_of
from graphprune.diagnostics import Skip
from graphprune.graph.functions import is_packed
from graphprune.graph.nodes import describe, placed_graphs
from graphprune.masks.axes import WeightAxes

MIN_INPUT_CHANNELS = 8
"""A convolution of fewer input channels is dense by default: it is cheap and sensitive."""

_FLOATING = {ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE}
_QUANTIZED = {ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT4, ir.DataType.UINT4}
_MATRIX_RANK = 2

_Refusal = tuple[str, str]  # code and reason


@dataclass(frozen=True)
class WeightUse:
    """One node that multiplies by a weight: convolution, product of matrices, one fused of them, or recurrent node.

    Attributes:
        node: The node.
        index: Which operand the weight is: 1, or 0 for a matrix from the left, or 2 where a recurrent node feeds back.
        perm: Axis `i` of the operand is axis `perm[i]` of the weight.
    """

    node: ir.Node
    index: int
    perm: tuple[int, ...]

    @property
    def rows_axis(self) -> int:
        """The axis of the weight that counts output features."""
        return self.perm[self._operand_rows_axis()]

    @property
    def input_axis(self) -> int:
        """The axis of the weight that counts input channels."""
        if self.is_recurrent:
            return self.perm[2]
        return self.perm[1 - self._operand_rows_axis()]

    @property
    def is_recurrent(self) -> bool:
        """Whether the weight is [directions, gates and outputs, inputs]."""
        return is_recurrent(self.node)

    @property
    def groups(self) -> int:
        """Of a convolution; a row of the weight is over the inputs of one."""
        return self.node.attributes.get_int("group", 1) if is_convolution(self.node) else 1

    @property
    def is_transposed(self) -> bool:
        """Whether the weight is [inputs, outputs, *kernel]."""
        return is_transposed(self.node)

    def operand_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape in which the node sees a weight that is stored in `shape`."""
        return tuple(shape[axis] for axis in self.perm)

    def matrix(self, weight: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the weight as [output features, inputs], inputs flattened in the operand's order."""
        rows_first = np.moveaxis(weight.transpose(self.perm), self._operand_rows_axis(), 0)
        return rows_first.reshape(rows_first.shape[0], math.prod(rows_first.shape[1:]))

    def _operand_rows_axis(self) -> int:
        if is_convolution(self.node) or self.is_recurrent or self.is_transposed:
            return int(self.is_recurrent or self.is_transposed)
        transposed = self.node.attributes.get_int("transB" if self.index else "transA", 0)
        return self.index ^ transposed


@dataclass(frozen=True)
class LinearWeight:
    """A constant that only products read, perhaps in a subgraph, perhaps dequantized.

    Attributes:
        name: Of the initializer, or of the output of the Constant node; unique in the model, see `named_constants`.
        value: The constant.
        uses: Who multiplies by it: several where the weight is shared.
    """

    name: str
    value: ir.Value
    uses: tuple[WeightUse, ...]

    @property
    def node(self) -> ir.Node:
        """The first node that uses it."""
        return self.uses[0].node

    @property
    def axes(self) -> WeightAxes:
        """How its first reader sees it."""
        return WeightAxes(self.uses[0].rows_axis, self.uses[0].input_axis)

    @property
    def tensor(self) -> ir.TensorProtocol:
        """The weight itself; its `numpy()` reads it."""
        tensor = constant_tensor(self.value)
        assert tensor is not None, f"'{self.name}' is no constant any more"
        return tensor

    @property
    def quantization(self) -> Quantization | None:
        """What its integers stand for; None of floating-point numbers."""
        return None if self.tensor.dtype in _FLOATING else quantization_of(self.value)

    def real_values(self) -> npt.NDArray[Any]:
        """Return the numbers that it stands for, of its shape: itself unless it is quantized."""
        array = self.tensor.numpy()
        return array if self.quantization is None else self.quantization.real(array)

    def zeroed(self, keep: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
        """Return a copy that stands for zero where `keep` is False."""
        array, how = self.tensor.numpy(), self.quantization
        zero = array.dtype.type(0) if how is None else how.zero_point
        return np.where(keep, array, zero)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape as stored."""
        return tuple(self.tensor.shape.numpy())


def prunable_weights(model: ir.Model) -> tuple[list[LinearWeight], list[Skip]]:
    """Return the weights that are pruned by default, in graph order, and why the other large constants are not.

    No tensor is read, so this is fast on any size of model.
    """
    weights, skips = linear_weights(model)
    prunable = []
    for weight in weights:
        channels = _input_channels(weight)
        if channels < MIN_INPUT_CHANNELS:
            reason = f"{describe(weight.node)} has {channels} input channels, fewer than {MIN_INPUT_CHANNELS}"
            skips.append(Skip("GP303", weight.name, reason))
        else:
            prunable.append(weight)
    return prunable, skips


def linear_weights(model: ir.Model) -> tuple[list[LinearWeight], list[Skip]]:
    """Return every weight that could be pruned or packed, in graph order, and why the other large constants are not."""
    weights: list[LinearWeight] = []
    skips: list[Skip] = []
    order = {node: index for index, node in enumerate(model.graph.all_nodes())}
    for name, (value, tensor) in named_constants(model).items():
        found = _readers(value, tensor)
        if not _is_candidate(tensor, found):
            continue
        refusal = _tensor_refusal(value, tensor) or _readers_refusal(model, found, tensor)
        if refusal is None:
            uses = [WeightUse(use.node, use.index, use.perm) for use in found if use is not None]
            weights.append(LinearWeight(name, value, tuple(sorted(uses, key=lambda use: order[use.node]))))
        else:
            skips.append(Skip(refusal[0], name, refusal[1]))
    weights.sort(key=lambda weight: order[weight.node])
    return weights, skips + _function_skips(model)


def _readers(value: ir.Value, tensor: ir.TensorProtocol) -> list[Reader | None]:
    return list(dequantized_readers(value, tensor.shape.rank()))


def _is_candidate(tensor: ir.TensorProtocol, found: Sequence[Reader | None]) -> bool:
    """Whether somebody may ask why it is not pruned: vectors, index tables and packed weights are of no interest."""
    if any(use is not None and is_packed(use.node) for use in found):
        return False
    if any(use is not None and reads_weight(use.node, use.index) for use in found):
        return tensor.shape.rank() >= _MATRIX_RANK
    wide = [size for size in tensor.shape.numpy() if size != 1]
    return len(wide) >= _MATRIX_RANK and tensor.dtype in _FLOATING | _QUANTIZED


def _tensor_refusal(value: ir.Value, tensor: ir.TensorProtocol) -> _Refusal | None:
    if tensor.dtype not in _FLOATING and not (tensor.dtype in _QUANTIZED and quantization_of(value)):
        return "GP304", f"holds {tensor.dtype.name.lower()}, not floating-point numbers"
    if tensor.size == 0:
        return "GP310", f"is empty: its shape is {list(tensor.shape.numpy())}"
    return None


def _readers_refusal(model: ir.Model, found: Sequence[Reader | None], tensor: ir.TensorProtocol) -> _Refusal | None:
    """The first reader in the way: a shared weight is pruned for all its readers or for none."""
    if not found:
        return "GP301", "no node reads it"
    refusals = [_reader_refusal(model, use, tensor) for use in found]
    first = next((refusal for refusal in refusals if refusal is not None), None)
    if first is None or None not in refusals:
        return first
    return "GP305", f"is shared, and not every reader can take zeros: {first[1]}"


def _reader_refusal(model: ir.Model, use: Reader | None, tensor: ir.TensorProtocol) -> _Refusal | None:
    if use is None:
        return "GP308", "is a graph output"
    if use.node.op_identifier() in model.functions:
        return "GP307", f"is passed into a function, by {describe(use.node)}"
    if not reads_weight(use.node, use.index):
        return why_no_product(use.node, use.index)
    if is_recurrent(use.node):
        return None
    if is_convolution(use.node) or is_transposed(use.node):
        return _conv_refusal(use, int(tensor.shape.numpy()[use.perm[1]]))
    return _matrix_refusal(use)


def _conv_refusal(use: Reader, inputs: int) -> _Refusal | None:
    """Those of a depthwise convolution, whose rows hold one of the `inputs`, and of a transposed one with groups."""
    group = use.node.attributes.get_int("group", 1)
    if group == 1 or (inputs > 1 and not is_transposed(use.node)):
        return None
    kind = "is transposed and" if is_transposed(use.node) else "is depthwise, it"
    return "GP302", f"{describe(use.node)} {kind} has {group} groups"


def _matrix_refusal(use: Reader) -> _Refusal | None:
    if len(use.perm) != _MATRIX_RANK:
        return "GP309", f"{describe(use.node)} multiplies by matrices stacked to rank {len(use.perm)}, expected rank 2"
    if is_constant(use.node.inputs[1 - use.index]):
        return "GP311", f"{describe(use.node)} multiplies two constants"
    return None


def _function_skips(model: ir.Model) -> list[Skip]:
    """Weights that live inside functions."""
    return [
        Skip("GP307", value.name or "", f"lives in the function '{body.name}'")
        for body in model.functions.values()
        for _, graph in placed_graphs(body)
        for value, tensor in constants(graph)
        if _is_candidate(tensor, _readers(value, tensor))
    ]


def _input_channels(weight: LinearWeight) -> int:
    """The fewest input channels of its convolutions, of all groups; a matrix always has enough."""
    uses = [use for use in weight.uses if is_convolution(use.node) or use.is_transposed]
    return min((weight.shape[use.input_axis] * use.groups for use in uses), default=MIN_INPUT_CHANNELS)
