"""What the weights of a packed model are stored in, as data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphprune.packed.calls import is_packed_call, read_call
from graphprune.packed.choice import smallest_form
from graphprune.packed.forms import CALLS
from graphprune.packed.nm import lines_of
from graphprune.packed.weight import Array


@dataclass(frozen=True)
class StoredWeight:
    """A weight of a packed model.

    Attributes:
        name: Of the weight before it was packed.
        node: The first call that reads it.
        operator: What the call stands for.
        shape: The dense shape, as the operator sees it.
        layout: `rows`, or an N:M form such as `2:4`.
        sparsity: The share of zeros, in [0, 1].
        pattern: The N:M form that stores it in the fewest bytes, fewer than densely, or None.
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
    found: dict[ir.Value | None, StoredWeight] = {}
    for node in model.graph.all_nodes():
        if is_packed_call(node) and node.inputs[1] not in found:
            found[node.inputs[1]] = _stored(node)
    return list(found.values())


def pattern_of(nonzero: Array, itemsize: int) -> str | None:
    """Return the text of what `smallest_form` finds, or None."""
    form = smallest_form(nonzero, itemsize)
    return None if form is None else f"{form[0]}:{form[1]}"


def _stored(node: ir.Node) -> StoredWeight:
    call = read_call(node)
    weight = call.weight
    return StoredWeight(
        name=call.weight_name,
        node=node.name or "",
        operator=CALLS[node.op_type][1],
        shape=call.weight_shape,
        layout=call.packed.layout,
        sparsity=1 - int(np.count_nonzero(weight)) / weight.size,
        pattern=pattern_of(lines_of(weight) != 0, weight.itemsize),
        stored_bytes=call.packed.nbytes,
        dense_bytes=weight.nbytes,
    )
