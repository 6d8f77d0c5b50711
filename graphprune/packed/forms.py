"""The table of packed forms: which layouts there are, and the calls of each."""

from __future__ import annotations

from graphprune.packed.bitmask import BitmaskWeight
from graphprune.packed.blocks import BlockWeight
from graphprune.packed.nm import NMWeight
from graphprune.packed.rows import RowsWeight
from graphprune.packed.weight import PackedWeight

FORMS: tuple[type[PackedWeight], ...] = (RowsWeight, NMWeight, BitmaskWeight, BlockWeight)

WEIGHT = "Weight"
"""Stands for no operator: a call that only decodes its weight, for operators without packed calls of their own."""

FUNCTIONS = {
    form.prefix + operator: (form, operator) for form in FORMS for operator in ("Conv", "MatMul", "Gemm", WEIGHT)
}
"""Packed function -> how it stores its weight, and the operator that it stands for."""

CALLS = {name: entry for name, entry in FUNCTIONS.items() if entry[1] != WEIGHT}
"""Those of them that stand for an operator."""
