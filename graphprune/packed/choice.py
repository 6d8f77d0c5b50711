"""Which layout a weight is packed in: the one that is asked for, or the smallest of those that fit."""

from __future__ import annotations

import re

import numpy as np

from graphprune.layouts import nm
from graphprune.packed.nm import NMWeight, lines_of
from graphprune.packed.rows import LAYOUT as ROWS
from graphprune.packed.rows import RowsWeight
from graphprune.packed.weight import Array, PackedWeight

AUTO = "auto"
KNOWN_LAYOUTS = f"auto, rows, or N:M with N below M and M one of {', '.join(map(str, nm.GROUP_SIZES))}"
"""What a layout may be, for messages."""

_NM_TEXT = re.compile(r"([1-9][0-9]?):([1-9][0-9]?)")

Refusal = tuple[str, str]
"""Code and reason."""


def is_layout(text: str) -> bool:
    """Return whether `text` is `auto`, `rows` or an N:M form."""
    return text in {AUTO, ROWS} or _nm_form(text) is not None


def pack(weight: Array, layout: str, min_sparsity: float) -> PackedWeight | Refusal:
    """Pack a floating weight [outputs, inputs, *kernel], or say why it is not packed.

    Rows are used from `min_sparsity` zeros on, N:M groups where they take fewer bytes than the dense weight.

    Args:
        weight: The weight, as its operator sees it.
        layout: A text that `is_layout`; of several layouts `auto` takes the smallest.
        min_sparsity: A share, from 0 to 1.
    """
    form = _nm_form(layout)
    if form is not None:
        return _pack_groups(weight, *form)
    candidates: list[PackedWeight] = []
    zeros = weight.size - int(np.count_nonzero(weight))
    if zeros >= min_sparsity * weight.size:
        candidates.append(RowsWeight.pack(weight))
    if layout == AUTO and (smaller := smallest_form(lines_of(weight) != 0, weight.itemsize)):
        candidates.append(NMWeight.pack(weight, *smaller))
    if candidates:
        return min(candidates, key=lambda packed: packed.nbytes)
    others = ", and no N:M groups are smaller" if layout == AUTO else ""
    return "GP340", f"{zeros} of {weight.size} elements are zero, fewer than {min_sparsity:.1%}{others}"


def smallest_form(nonzero: Array, itemsize: int) -> tuple[int, int] | None:
    """Return the (keep, of) that stores a matrix [lines, columns] in the fewest bytes, fewer than densely, or None.

    Args:
        nonzero: Where the matrix is not zero.
        itemsize: Bytes of one value.
    """
    form = nm.smallest(nonzero, itemsize)
    lines, columns = nonzero.shape
    is_smaller = form is not None and nm.packed_bytes((lines, columns), itemsize, *form) < nonzero.size * itemsize
    return form if is_smaller else None


def _pack_groups(weight: Array, keep: int, of: int) -> PackedWeight | Refusal:
    most = nm.count_kept(lines_of(weight), of)
    if most > keep:
        return "GP347", f"{most} of {of} consecutive input channels are not zero, expected at most {keep}"
    packed = NMWeight.pack(weight, keep, of)
    if packed.nbytes >= weight.nbytes:
        return "GP348", f"takes {packed.nbytes} bytes as {keep}:{of}, and {weight.nbytes} as it is"
    return packed


def _nm_form(text: str) -> tuple[int, int] | None:
    found = _NM_TEXT.fullmatch(text)
    form = (int(found[1]), int(found[2])) if found else None
    return None if form is None or nm.form_defect(*form) else form
