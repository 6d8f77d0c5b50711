"""Operands that list extents, and what is computed from extents."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from graphprune.analysis.constants import constant_tensor
from graphprune.passes.operands.cut_node import CutNode, Follow, old_extent, rank_of
from graphprune.passes.rewriting import bypass


def _shaped_by(index: int, name: str) -> Follow:
    """A rule for an operand that lists extents of the output, its last axes at least."""

    def follow(cut: CutNode) -> None:
        output = cut.node.outputs[0]
        listed = cut.node.inputs[index] if index < len(cut.node.inputs) else None
        if listed is None or not cut.cuts(output):
            return
        missing = rank_of(output) - old_extent(listed, 0)
        entries = {axis - missing: kept.size for axis, kept in cut.cuts(output).items() if axis >= missing}
        _set_entries(cut, index, name, entries)

    return follow


def _set_entries(cut: CutNode, index: int, name: str, entries: Mapping[int, int]) -> None:
    """Replace some entries of a vector; one that is computed is split first."""
    vector = cut.integers(name, index)
    if vector is not None:
        wanted = {place: extent for place, extent in entries.items() if vector[place] > 1}  # else it follows by itself
        if any(vector[place] != extent for place, extent in wanted.items()):
            vector[list(wanted)] = list(wanted.values())
            cut.set_integers(name, index, vector)
        return
    computed = cut.input(index)
    cut.set_operand(index, _with_entries(cut, computed, old_extent(computed, 0), name, entries))


def _with_entries(cut: CutNode, computed: ir.Value, length: int, name: str, entries: Mapping[int, int]) -> ir.Value:
    """Return a computed vector with some entries replaced."""
    pieces = []
    for place in range(length):
        at = cut.constant(f"{name}_{place}", np.array([entries.get(place, place)]))
        pieces.append(at if place in entries else cut.insert("Gather", [computed, at], f"{name}_entry"))
    whole = cut.insert("Concat", pieces, name, axis=0)
    whole.shape = ir.Shape([length])
    return whole


def _shape(cut: CutNode) -> None:
    """What is computed with the number of channels goes on with the old one."""
    x, output = cut.input(0), cut.node.outputs[0]
    first, _, _ = slice(cut.node.attributes.get_int("start", 0), None).indices(rank_of(x))
    entries = {axis - first: old_extent(x, axis) for axis in cut.cuts(x)}
    length = old_extent(output, 0)
    asked = {place: extent for place, extent in entries.items() if 0 <= place < length}
    if any(_reads(node, place) for node, _ in output.uses() for place in asked) or output.is_graph_output():
        attributes = {name: each.as_int() for name, each in cut.node.attributes.items()}
        now = cut.insert("Shape", [x], "now", **attributes)
        bypass(cut.node, _with_entries(cut, now, length, "before", asked))


def _reads(node: ir.Node, place: int) -> bool:
    """Whether a reader of a vector may depend on one of its entries."""
    indices = constant_tensor(node.inputs[1]) if node.op_type == "Gather" and node.domain == "" else None
    return indices is None or place in indices.numpy() or bool((indices.numpy() < 0).any())


FOLLOW: dict[str, Follow] = {
    "Expand": _shaped_by(1, "shape"),
    "Reshape": _shaped_by(1, "shape"),
    "Resize": _shaped_by(3, "sizes"),
    "Shape": _shape,
}
