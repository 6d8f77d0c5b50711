"""Remove operators that pass their input through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphprune.diagnostics import Rewrite, Skip
from graphprune.graph.nodes import describe
from graphprune.passes.base import Equivalence, Pass, PassOutcome, refuse
from graphprune.passes.rewriting import bypass, constant_of, why_not_bypass
from graphprune.passes.shape_inference import infer_shapes
from graphprune.stages.stage import Stage

_FIRST_DROPOUT_WITH_MODE = 12  # opset: before it, and from 7 on, Dropout never drops


@dataclass(frozen=True)
class RemoveIdentities(Pass):
    """Remove what certainly passes its input through, bit by bit.

    These are: `Identity`; `Dropout` that does not train; `Cast` to the type that the value has; `Reshape`, `Flatten`,
    `Expand` and `Tile` to the static shape that the value has; `Transpose` that leaves all axes where they are;
    `Concat` of one value, or of one and others without elements. Bodies of functions are left alone. An output of the
    graph keeps its name.

    Before::

        g (float[1,2] x) => (float[1,2] y) {
            a = Neg (x)
            b = Identity (a)
            c = Dropout (b)
            y = Cast <to = 1> (c)
        }

    After::

        g (float[1,2] x) => (float[1,2] y) {
            y = Neg (x)
        }

    Refuses: GP225 it joins an input, an initializer or another output of the graph to an output,
        GP226 the dropout trains, may train, or its mask is read.
    """

    name: ClassVar[str] = "remove-identities"
    consumes: ClassVar[frozenset[Stage]] = frozenset(Stage)
    equivalence: ClassVar[Equivalence] = Equivalence.EXACT

    def apply(self, model: ir.Model) -> PassOutcome:
        """Remove them in one walk; shapes are inferred first because some rules read them."""
        infer_shapes(model)
        rewrites: list[Rewrite] = []
        skips: list[Skip] = []
        for node in list(model.graph.all_nodes()):
            rule = _RULES.get(node.op_type) if node.domain == "" else None
            passed = rule(node) if rule is not None else None
            if passed is None:
                continue
            refused = _refusal(model, node, passed)
            if refused is not None:
                skips.append(refused)
                continue
            rewrites.append(Rewrite("identity", node.name or str(node.outputs[0].name), f"{node.op_type} removed"))
            bypass(node, passed)
        return PassOutcome(tuple(rewrites), tuple(skips))


def _refusal(model: ir.Model, node: ir.Node, value: ir.Value) -> Skip | None:
    if node.op_type == "Dropout":
        reason = _why_dropout_stays(node, model.graph.opset_imports[""])
        if reason is not None:
            return refuse("GP226", node, f"{describe(node)}: {reason}")
    reason = why_not_bypass(node, value)
    return None if reason is None else refuse("GP225", node, f"{describe(node)}: {reason}")


def _why_dropout_stays(node: ir.Node, opset: int) -> str | None:
    if any(mask.uses() or mask.is_graph_output() for mask in node.outputs[1:]):
        return "its mask is read"
    unknown = node.attributes.keys() - {"ratio", "seed"}
    if unknown:
        return f"attribute '{min(unknown)}' is not known in opset {opset}"
    if opset < _FIRST_DROPOUT_WITH_MODE or len(node.inputs) <= 2 or node.inputs[2] is None:  # noqa: PLR2004
        return None
    mode = constant_of(node.inputs[2])
    if mode is None:
        return f"its training mode '{node.inputs[2].name}' is known only at run time"
    return "it is in training mode" if bool(mode.numpy()) else None


def _first(node: ir.Node) -> ir.Value | None:
    return node.inputs[0] if node.inputs else None


def _of_same_type(node: ir.Node) -> ir.Value | None:
    value = _first(node)
    keeps = value is not None and value.dtype is not None and node.attributes.get_int("to") == value.dtype
    return value if keeps else None


def _of_same_shape(node: ir.Node) -> ir.Value | None:
    value, shape = _first(node), node.outputs[0].shape
    if value is None or value.shape is None or shape is None:
        return None
    return value if value.shape.is_static() and shape.is_static() and value.shape == shape else None


def _of_same_axes(node: ir.Node) -> ir.Value | None:
    order = node.attributes.get_ints("perm", ())
    return _first(node) if order and list(order) == list(np.arange(len(order))) else None


def _only_part(node: ir.Node) -> ir.Value | None:
    """The one input of a Concat, or the one of them that may have elements."""
    if len(node.inputs) == 1:
        return node.inputs[0]
    axis = node.attributes.get_int("axis")
    parts = [value for value in node.inputs if value is None or value.shape is None or value.shape[axis] != 0]
    return parts[0] if len(parts) == 1 else None


_RULES: dict[str, Callable[[ir.Node], ir.Value | None]] = {
    "Identity": _first,
    "Dropout": _first,
    "Cast": _of_same_type,
    "Reshape": _of_same_shape,
    "Flatten": _of_same_shape,
    "Expand": _of_same_shape,
    "Tile": _of_same_shape,
    "Transpose": _of_same_axes,
    "Concat": _only_part,
}
"""From a node to the input that it passes through, if it does."""
