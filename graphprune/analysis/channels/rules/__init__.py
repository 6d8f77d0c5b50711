"""What each operator does with channels. An operator that is not in the table blocks every channel that reaches it."""

from __future__ import annotations

from graphprune.analysis.channels.rules import (
    attention,
    einsum,
    elementwise,
    linear,
    moving,
    normalizing,
    pooling,
    quantized,
    selecting,
    shapes,
)
from graphprune.analysis.channels.rules.elementwise import Rule

LINEAR: dict[str, Rule] = {**einsum.RULES, **linear.RULES, **quantized.RULES}
"""Operators whose constant operands are weights, or stand for some."""

RULES: dict[str, Rule] = {
    **LINEAR,
    **attention.RULES,
    **elementwise.RULES,
    **moving.RULES,
    **normalizing.RULES,
    **pooling.RULES,
    **selecting.RULES,
    **shapes.RULES,
}
