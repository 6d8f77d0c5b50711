"""Attributes that count groups of channels."""

from __future__ import annotations

import onnx_ir as ir

from graphprune.passes.operands.cut_node import CutNode, Follow, old_extent


def _convolution(cut: CutNode) -> None:
    """`group` counts the channels of one side over those that a group of the weight has."""
    counted = cut.input(0) if cut.node.op_type == "Conv" else cut.node.outputs[0]
    if 1 not in {**cut.cuts(counted), **cut.cuts(cut.input(1))}:
        return
    groups = cut.extent(counted, 1) // cut.extent(cut.input(1), 1)
    if groups != cut.node.attributes.get_int("group", 1):
        cut.node.attributes["group"] = ir.AttrInt64("group", groups)


def _group_normalization(cut: CutNode) -> None:
    """Whole groups go."""
    groups, x = cut.node.attributes.get_int("num_groups", 1), cut.input(0)
    if 1 not in cut.cuts(x):
        return
    left = cut.extent(x, 1) * groups // old_extent(x, 1)
    cut.node.attributes["num_groups"] = ir.AttrInt64("num_groups", left)


FOLLOW: dict[str, Follow] = {
    "Conv": _convolution,
    "ConvTranspose": _convolution,
    "GroupNormalization": _group_normalization,
}
