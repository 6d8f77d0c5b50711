"""Straight-through estimators at inference: `x + (r - x)`, whose gradient was that of `x`, is `r`."""

from __future__ import annotations

import onnx_ir as ir

from graphprune.passes.rewriting import bypass, why_not_bypass

_ROUNDS = frozenset({"Ceil", "Floor", "Round", "Sign"})
_MOST_STEPS = 12
"""Operators between a value and its rounded one: a division, a zero point, two bounds, and what undoes them."""


def drop_straight_through(model: ir.Model) -> None:
    """Let `r` stand for `x + (r - x)` where `r` is computed from `x` by rounding.

    That is how a quantizer passes gradients on (Bengio et al. 2013, section 5); as numbers both differ by the rounding
    of the sum.
    """
    for node in list(model.graph):
        rounded = _rounded(node)
        if rounded is not None and why_not_bypass(node, rounded) is None:
            bypass(node, rounded)


def _rounded(node: ir.Node) -> ir.Value | None:
    if node.op_type != "Add" or node.domain:
        return None
    for x, difference in (node.inputs, reversed(node.inputs)):
        made = None if difference is None else difference.producer()
        if made is not None and made.op_type == "Sub" and made.inputs[1] is x and _rounds(made.inputs[0], x):
            return made.inputs[0]
    return None


def _rounds(value: ir.Value | None, x: ir.Value | None) -> bool:
    """Whether `value` is computed from `x` by a few operators, of which one rounds."""
    level, has_rounded = [value], False
    for _ in range(_MOST_STEPS):
        if x in level:
            return has_rounded
        makers = [made for each in level if each is not None and (made := each.producer()) is not None]
        has_rounded = has_rounded or any(made.op_type in _ROUNDS for made in makers)
        level = [read for made in makers for read in made.inputs]
    return False
