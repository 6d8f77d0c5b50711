"""Attributes that count groups of channels, or heads."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphprune.passes.operands.cut_node import CutNode, Follow, old_extent, rank_of

_FLAT = 3  # the rank of operands that have heads and what is in them along one axis


def _convolution(cut: CutNode) -> None:
    """`group` counts the channels of one side over those that a group of the weight has."""
    counted = cut.input(0) if cut.node.op_type == "Conv" else cut.node.outputs[0]
    groups = cut.extent(counted, 1) // cut.extent(cut.input(1), 1)
    if groups != cut.node.attributes.get_int("group", 1):
        cut.node.attributes["group"] = ir.AttrInt64("group", groups)


def _group_normalization(cut: CutNode) -> None:
    """Whole groups go."""
    groups, x = cut.node.attributes["num_groups"].as_int(), cut.input(0)
    left = cut.extent(x, 1) * groups // old_extent(x, 1)
    cut.node.attributes["num_groups"] = ir.AttrInt64("num_groups", left)


def _attention(cut: CutNode) -> None:
    """Heads go whole, or all of them lose the same places."""
    for index, name in enumerate(("q_num_heads", "kv_num_heads")):
        x, attributes = cut.input(index), cut.node.attributes
        axis = 2 if rank_of(x) == _FLAT else 1
        if name in attributes and axis in cut.cuts(x):
            size = old_extent(x, axis) // attributes[name].as_int()
            attributes[name] = ir.AttrInt64(name, np.unique(cut.cuts(x)[axis] // size).size)


FOLLOW: dict[str, Follow] = {
    "Attention": _attention,
    "Conv": _convolution,
    "ConvTranspose": _convolution,
    "GroupNormalization": _group_normalization,
}
