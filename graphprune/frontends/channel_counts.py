"""Whether convolutions get as many channels as their weights take: ONNX's own shape inference does not check it."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from graphprune.errors import UnsupportedModelError
from graphprune.graph.nodes import describe

# The axis of the weight that counts input channels: of one group for Conv, of all groups for ConvTranspose.
_CHANNEL_AXIS = {"Conv": 1, "ConvTranspose": 0}


def check_channel_counts(graph: ir.Graph, source: Path) -> None:
    """Refuse a convolution whose input and weight disagree, as far as both shapes are known.

    Raises:
        UnsupportedModelError: names the node and both numbers [GP110].
    """
    for node in ir.traversal.RecursiveGraphIterator(graph):
        if node.domain == "" and node.op_type in _CHANNEL_AXIS:
            _check(node, source)


def _check(node: ir.Node, source: Path) -> None:
    axis = _CHANNEL_AXIS[node.op_type]
    given, taken = _extent(node.inputs[0], 1), _extent(node.inputs[1], axis)
    if given is None or taken is None:
        return
    groups = node.attributes.get_int("group", 1) if node.op_type == "Conv" else 1
    if given != taken * groups:
        raise UnsupportedModelError(
            f"'{source}': {describe(node)}: input has {given} channels, expected {taken * groups} as the weight takes",
            code="GP110",
        )


def _extent(value: ir.Value | None, axis: int) -> int | None:
    if value is None or value.shape is None or value.shape.rank() <= axis:
        return None
    extent = value.shape[axis]
    return extent if isinstance(extent, int) else None
