"""What the constants of a channel group hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.analysis.channels.groups import ChannelGroup, ChannelSlice
from graphprune.analysis.constants import constant_tensor, constants

_FLOATING = {ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE}
_NO_NUMBERS = {ir.DataType.STRING, ir.DataType.BOOL}
_QUANTIZERS = {"DequantizeLinear", "QuantizeLinear"}


def has_channels(value: ir.Value, tensor: ir.TensorProtocol) -> bool:
    """Whether channels may lie along the axes of a constant: of real numbers, or what stands for them."""
    return tensor.dtype in _FLOATING or (
        tensor.dtype not in _NO_NUMBERS and any(is_quantizer(use.node) for use in value.uses())
    )


def is_quantizer(node: ir.Node) -> bool:
    """Whether a node passes numbers on in another representation."""
    return node.domain == "" and node.op_type in _QUANTIZERS


def constant_values(model: ir.Model) -> dict[str, ir.Value]:
    """Return the constants of the main graph by name."""
    return {str(value.name): value for value, _ in constants(model.graph)}


def channel_values(each: ChannelSlice, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the elements of each channel in the array of its constant, [channels, elements]."""
    rows = np.moveaxis(array, each.axis, 0)[each.indices().reshape(-1)]
    return rows.reshape(each.index.size, -1)


def batch_norm_scales(group: ChannelGroup, values: dict[str, ir.Value]) -> list[ChannelSlice]:
    """Return the carriers of a group that are scales of batch norms."""
    return [
        each
        for each in group.carriers
        if any(use.node.op_type == "BatchNormalization" and use.idx == 1 for use in values[each.name].uses())
    ]


def real_values(value: ir.Value) -> npt.NDArray[Any]:
    """Return the numbers that a constant stands for where it can be masked: there its zero points are zero."""
    array = read(value)
    for node in (use.node for use in value.uses() if use.idx == 0 and use.node.op_type == "DequantizeLinear"):
        if (scale := constant_tensor(node.inputs[1])) is not None:
            axis = node.attributes.get_int("axis", 1) % array.ndim
            real: npt.NDArray[Any] = array * scale.numpy().reshape(-1, *[1] * (array.ndim - 1 - axis))
            return real
    return array


def read(value: ir.Value) -> npt.NDArray[Any]:
    """Return the values of a constant."""
    tensor = constant_tensor(value)
    assert tensor is not None, f"'{value.name}' is no constant any more"
    array: npt.NDArray[Any] = tensor.numpy()
    return array


def taken(array: npt.NDArray[Any], cuts: Mapping[int, npt.NDArray[np.int64]]) -> npt.NDArray[Any]:
    """Return a copy with only these indices of some axes."""
    for axis, indices in cuts.items():
        array = array.take(indices, axis)
    return array
