"""What each operator does with channels. An operator that is not in the table blocks every channel that reaches it."""

from __future__ import annotations

from graphprune.analysis.channels.rules import (
    elementwise,
    linear,
    moving,
    normalizing,
    pooling,
    selecting,
    shapes,
)
from graphprune.analysis.channels.rules.elementwise import Rule

RULES: dict[str, Rule] = {
    **elementwise.RULES,
    **linear.RULES,
    **moving.RULES,
    **normalizing.RULES,
    **pooling.RULES,
    **selecting.RULES,
    **shapes.RULES,
}
