"""The table of packed forms: which layouts there are, and the calls of each."""

from __future__ import annotations

from graphprune.packed.bitmask import BitmaskWeight
from graphprune.packed.blocks import BlockWeight
from graphprune.packed.nm import NMWeight
from graphprune.packed.rows import RowsWeight
from graphprune.packed.weight import PackedWeight

FORMS: tuple[type[PackedWeight], ...] = (RowsWeight, NMWeight, BitmaskWeight, BlockWeight)

CALLS = {form.prefix + operator: (form, operator) for form in FORMS for operator in ("Conv", "MatMul", "Gemm")}
"""Packed call -> how it stores its weight, and the operator that it stands for."""
