"""Products of a few rows with weights [weights, outputs, inputs]: which kernel, and its buffers."""

from __future__ import annotations

import numpy as np

from graphprune.backends.tvm.kernels.elementwise import concat_function
from graphprune.backends.tvm.kernels.row_product import DenseProduct, RowProduct
from graphprune.backends.tvm.kernels.slots import SlotProduct, pick_of
from graphprune.backends.tvm.kernels.view import View
from graphprune.backends.tvm.lowering.graph import Lowering
from graphprune.backends.tvm.operators.weights import FEWEST_ZEROS
from graphprune.backends.tvm.program.recording import Array

SLOT_COST = 1.3
"""Time of a vector of slots over that of a vector of a dense weight (measured, one thread)."""

GROUP_COST = 0.2
"""Time of going from group to group over that of the dense weight, where this one is read from L2 (measured)."""


def zeros_of(weight: Array | View) -> float:
    """The share of zeros; 0 of a weight that is computed at run time."""
    return 0.0 if isinstance(weight, View) else 1 - np.count_nonzero(weight) / weight.size


def choose_product(
    lowering: Lowering, rows: int, weight: Array | View, name: str = "weight"
) -> tuple[RowProduct, list[View]]:
    """The fastest product by estimate, noted with the reason, and its buffers."""
    slots = _slots(lowering, rows, weight, name)
    zeros = f"{zeros_of(weight):.1%} of the elements are zero"
    if slots is None:
        lowering.note("dense", zeros, ("dense",))
        return dense_product(lowering, rows, weight, name)
    share = SLOT_COST * slots.share + GROUP_COST * (slots.weights.nbytes <= lowering.machine.l2_bytes)
    why = f"{zeros}; slots estimated at {share:.0%} of the dense kernel's time"
    if share >= 1:
        lowering.note("dense", why, ("dense", "slots"))
        return dense_product(lowering, rows, weight, name)
    lowering.note("slots", why, ("slots", "dense"))
    return slots, [lowering.constant(array) for array in slots.arrays]


def _slots(lowering: Lowering, rows: int, weight: Array | View, name: str) -> SlotProduct | None:
    """The weight in slots, where it has zeros and the machine has an instruction for them."""
    if isinstance(weight, View) or weight.dtype != np.float32 or zeros_of(weight) < FEWEST_ZEROS:
        return None
    return SlotProduct.of(lowering.machine, rows, weight, name) if pick_of(lowering.machine) else None


def dense_product(
    lowering: Lowering, rows: int, weight: Array | View, name: str = "weight"
) -> tuple[DenseProduct, list[View]]:
    """The product with a weight whose zeros do not matter, and its buffer."""
    weights, outputs, inputs = weight.shape
    product = DenseProduct(lowering.machine, rows, inputs, outputs, str(weight.dtype), name, weights)
    if isinstance(weight, View):
        return product, [_arranged(lowering, product, weight)]
    return product, [lowering.constant(array) for array in product.arranged(weight)]


def _arranged(lowering: Lowering, product: DenseProduct, weight: View) -> View:
    """A weight that is computed at run time, arranged at run time: all blocks but the last one, and that one."""
    whole, block = product.blocks - 1, product.block
    target = View.dense(None, weight.dtype, (product.weights, product.blocks, product.inputs, block))
    pieces = [(0, whole, 0), (whole, 1, product.outputs - block)]
    parts, sections = [], []
    for first, count, start in pieces if whole else pieces[1:]:
        part = weight.slice(1, start, count * block).reshape((product.weights, count, block, product.inputs))
        assert part is not None
        parts.append(part.transpose((0, 1, 3, 2)))
        sections.append(target.slice(1, first, count))
    function = concat_function(lowering.machine, parts, sections)
    buffer = lowering.call(function, parts, target.size, target.dtype)
    return View.dense(buffer, target.dtype, target.shape)
