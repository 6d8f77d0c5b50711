"""Operators that ask for a shape."""

from __future__ import annotations

import onnx_ir as ir

from graphprune.analysis.channels.rules.elementwise import Rule
from graphprune.analysis.channels.site import Site
from graphprune.analysis.channels.state import State

_CARRIES = frozenset({"Cast", "Concat", "Gather", "Identity", "Slice", "Squeeze", "Unsqueeze"})
_TAKES_SHAPE = {"ConstantOfShape": 0, "Expand": 1, "Reshape": 1}


def shape(site: Site) -> list[State]:
    """`Shape`: harmless where it only shapes other values; else numbers may depend on how many channels there are."""
    state = site.input(0)
    stop = site.node.attributes.get_int("end", state.rank)
    asked = range(*slice(site.node.attributes.get_int("start", 0), stop).indices(state.rank))
    if not _only_shapes(site.node.outputs[0]):
        site.held(state, asked, "GP375", "computes with the number of channels")
    return [State(site.output())]


def _only_shapes(value: ir.Value) -> bool:
    return not value.is_graph_output() and all(
        _TAKES_SHAPE.get(node.op_type) == index or (node.op_type in _CARRIES and _only_shapes(node.outputs[0]))
        for node, index in value.uses()
        if node.domain == ""
    )


RULES: dict[str, Rule] = {"Shape": shape}
