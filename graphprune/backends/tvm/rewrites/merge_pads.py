"""A Pad with zeros in front of a convolution becomes pads of the convolution itself."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphprune.graph.functions import DOMAIN
from graphprune.packed.forms import CALLS
from graphprune.passes.rewriting import constant_of

_CONVOLUTIONS = {("", "Conv"), *((DOMAIN, name) for name, (_, operator) in CALLS.items() if operator == "Conv")}


def merge_pads(graph: ir.Graph) -> bool:
    """Merge every constant-zero Pad into the convolutions that read it; True if there was one."""
    merged = False
    for node in list(graph):
        if node.domain == "" and node.op_type == "Pad" and (pads := _spatial_pads(node)) is not None:
            merged |= _merge(graph, node, pads)
    return merged


def _merge(graph: ir.Graph, node: ir.Node, pads: list[int]) -> bool:
    """Let the convolutions that read `node` pad for themselves, if nothing else reads it."""
    output = node.outputs[0]
    readers = [(user, index) for user, index in output.uses()]
    if output.is_graph_output() or not readers or not all(_can_pad(user, index) for user, index in readers):
        return False
    for user, _ in readers:
        own = user.attributes.get_ints("pads", [0] * len(pads))
        user.attributes["pads"] = ir.AttrInt64s("pads", [a + b for a, b in zip(own, pads, strict=True)])
        user.attributes.pop("auto_pad", None)
        user.replace_input_with(0, node.inputs[0])
    graph.remove(node, safe=True)
    return True


def _can_pad(user: ir.Node, index: int) -> bool:
    mode = user.attributes.get_string("auto_pad", "NOTSET")
    return index == 0 and (user.domain, user.op_type) in _CONVOLUTIONS and mode in ("NOTSET", "VALID")


def _spatial_pads(node: ir.Node) -> list[int] | None:
    """What a Pad adds to the axes after the second, if it adds zeros there and nothing elsewhere, else None."""
    x, pads = node.inputs[0], constant_of(node.inputs[1])
    fill = node.inputs[2] if len(node.inputs) > 2 else None
    has_axes = len(node.inputs) > 3 and node.inputs[3] is not None
    if x is None or x.shape is None or pads is None or has_axes or x.shape.rank() < 3:
        return None
    if node.attributes.get_string("mode", "constant") != "constant" or not _is_zero(fill):
        return None
    before, after = np.split(pads.numpy(), 2)
    if before[:2].any() or after[:2].any() or (pads.numpy() < 0).any():
        return None
    return [int(n) for n in (*before[2:], *after[2:])]


def _is_zero(fill: ir.Value | None) -> bool:
    if fill is None:
        return True
    value = constant_of(fill)
    return value is not None and not value.numpy().any()
