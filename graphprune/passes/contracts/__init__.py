"""What operators ask of the extents of their operands, and which node breaks it."""

from graphprune.passes.contracts.operators import broken_contract

__all__ = ["broken_contract"]
