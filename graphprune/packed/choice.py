"""The choice of a layout for a packed weight: the requested one, or the smallest that fits."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from graphprune.layouts import nm
from graphprune.packed import blocks
from graphprune.packed.bitmask import LAYOUT as BITMASK
from graphprune.packed.bitmask import BitmaskWeight
from graphprune.packed.blocks import BlockWeight
from graphprune.packed.nm import NMWeight, lines_of
from graphprune.packed.rows import LAYOUT as ROWS
from graphprune.packed.rows import RowsWeight
from graphprune.packed.weight import Array, PackedWeight

AUTO = "auto"
KNOWN_LAYOUTS = (
    f"auto, rows, bitmask, 'block RxC', or N:M with N below M and M one of {', '.join(map(str, nm.GROUP_SIZES))}"
)
"""What a layout may be, for messages."""

_NM_TEXT = re.compile(r"([1-9][0-9]?):([1-9][0-9]?)")
_BLOCK_TEXT = re.compile(r"block ([1-9][0-9]*)x([1-9][0-9]*)")

Refusal = tuple[str, str]
"""Code and reason."""


def is_layout(text: str) -> bool:
    """Return whether `text` is `auto`, `rows`, `bitmask`, an N:M form or a form of blocks."""
    return text in {AUTO, ROWS, BITMASK} or _nm_form(text) is not None or _block_form(text) is not None


def pack(weight: Array, layout: str, min_sparsity: float) -> PackedWeight | Refusal:
    """Pack a floating weight [outputs, inputs, *kernel], or say why it is not packed.

    Rows and bit masks are used from `min_sparsity` zeros on, N:M groups and blocks where they take fewer bytes than the
    dense weight.

    Args:
        weight: The weight, as its operator sees it.
        layout: A text that `is_layout`; of several layouts `auto` takes the smallest.
        min_sparsity: A share, from 0 to 1.
    """
    if form := _nm_form(layout):
        return _pack_groups(weight, *form)
    if size := _block_form(layout):
        return _pack_blocks(weight, size)
    candidates = list(_candidates(weight, layout, min_sparsity))
    if candidates:
        return min(candidates, key=lambda packed: packed.nbytes)
    zeros = weight.size - int(np.count_nonzero(weight))
    others = ", and no N:M groups or blocks are smaller" if layout == AUTO else ""
    return "GP340", f"{zeros} of {weight.size} elements are zero, fewer than {min_sparsity:.1%}{others}"


def _candidates(weight: Array, layout: str, min_sparsity: float) -> Iterator[PackedWeight]:
    """Yield the weight in each form that `layout` allows; of equal size, the first one is the easiest to read."""
    nonzero = weight != 0
    if layout == AUTO:
        if form := smallest_form(lines_of(nonzero), weight.itemsize):
            yield NMWeight.pack(weight, *form)
        if size := blocks.smallest_size(nonzero, weight.itemsize):
            yield BlockWeight.pack(weight, size)
    if weight.size - int(np.count_nonzero(nonzero)) >= min_sparsity * weight.size:
        if layout in {AUTO, BITMASK}:
            yield BitmaskWeight.pack(weight)
        if layout in {AUTO, ROWS}:
            yield RowsWeight.pack(weight)


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


def _pack_blocks(weight: Array, size: tuple[int, int]) -> PackedWeight | Refusal:
    rows, columns = size
    if not blocks.fits(weight.shape, size):
        outputs, inputs = weight.shape[:2]
        return "GP349", f"has {outputs} outputs and {inputs} inputs, no multiples of {rows} and {columns}"
    packed = BlockWeight.pack(weight, size)
    if packed.nbytes >= weight.nbytes:
        return "GP348", f"takes {packed.nbytes} bytes in {packed.layout}, and {weight.nbytes} as it is"
    return packed


def _block_form(text: str) -> tuple[int, int] | None:
    found = _BLOCK_TEXT.fullmatch(text)
    return (int(found[1]), int(found[2])) if found else None


def _nm_form(text: str) -> tuple[int, int] | None:
    found = _NM_TEXT.fullmatch(text)
    form = (int(found[1]), int(found[2])) if found else None
    return None if form is None or nm.form_defect(*form) else form
