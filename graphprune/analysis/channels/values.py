"""What the constants of a channel group hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.analysis.channels.groups import ChannelGroup, ChannelSlice
from graphprune.analysis.constants import constant_tensor, constants


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


def read(value: ir.Value) -> npt.NDArray[Any]:
    """Return the values of a constant."""
    tensor = constant_tensor(value)
    assert tensor is not None, f"'{value.name}' is no constant any more"
    array: npt.NDArray[Any] = tensor.numpy()
    return array
