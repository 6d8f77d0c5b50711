"""The layouts and sizes of the weights of a packed model, as data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphprune.layouts import nm
from graphprune.packed import blocks
from graphprune.packed.calls import PackedCall, is_decoding, is_packed_call, read_call
from graphprune.packed.choice import smallest_form
from graphprune.packed.nm import lines_of
from graphprune.packed.weight import Array


@dataclass(frozen=True)
class StoredWeight:
    """A weight of a packed model.

    Attributes:
        name: Of the weight before it was packed.
        node: The first call that multiplies by it, or, where it is only decoded, node that does.
        operator: What the call stands for, or the operator of the node.
        shape: The dense shape, as the operator sees it.
        layout: `rows`, `bitmask`, an N:M form such as `2:4`, or blocks such as `block 4x1`.
        sparsity: The share of zeros, in [0, 1].
        pattern: What `pattern_of` finds.
        stored_bytes: Bytes of its arrays.
        dense_bytes: Bytes of the dense weight.
    """

    name: str
    node: str
    operator: str
    shape: tuple[int, ...]
    layout: str
    sparsity: float
    pattern: str | None
    stored_bytes: int
    dense_bytes: int


def stored_weights(model: ir.Model) -> list[StoredWeight]:
    """Return the packed weights of the main graph in graph order, one that several calls share once.

    Raises:
        UnsupportedModelError: A call is damaged (GP350, GP351).
    """
    found: dict[ir.Value | None, PackedCall] = {}
    for node in model.graph.all_nodes():
        if is_packed_call(node) or is_decoding(node):
            call = read_call(node)
            found.setdefault(call.values, call)
    return [_stored(call) for call in found.values()]


def pattern_of(nonzero: Array, itemsize: int) -> str | None:
    """Return the pattern that a weight satisfies, N:M or blocks, in which it takes the fewest bytes; None if none.

    Args:
        nonzero: Where the weight, as its operator sees it, is not zero.
        itemsize: Bytes of one value.
    """
    costs: dict[str, int] = {}
    lines = lines_of(nonzero)
    if form := smallest_form(lines, itemsize):
        costs[f"{form[0]}:{form[1]}"] = nm.packed_bytes((len(lines), lines.shape[1]), itemsize, *form)
    if size := blocks.pattern_size(nonzero):
        costs[f"block {size[0]}x{size[1]}"] = blocks.stored_bytes(nonzero, itemsize, size)
    return min(costs, key=lambda pattern: costs[pattern], default=None)


def _stored(call: PackedCall) -> StoredWeight:
    weight = call.weight
    return StoredWeight(
        name=call.weight_name,
        node=call.reader.name or "",
        operator=call.operator,
        shape=call.weight_shape,
        layout=call.packed.layout,
        sparsity=1 - int(np.count_nonzero(weight)) / weight.size,
        pattern=pattern_of(weight != 0, weight.itemsize),
        stored_bytes=call.packed.nbytes,
        dense_bytes=weight.nbytes,
    )
