"""Operands that say which channels are taken: sizes of parts, ranges, indices."""

from __future__ import annotations

import numpy as np

from graphprune.analysis.channels.layout import IntArray
from graphprune.analysis.channels.rules.selecting import as_slice
from graphprune.passes.operands.cut_node import CutNode, Follow, old_extent, rank_of

_BEFORE_FIRST = -(1 << 31)  # where a downward slice ends that takes the first element, in 32 bits too


def _split(cut: CutNode) -> None:
    if (axis := cut.axis(0)) is None:
        return
    sizes = [cut.extent(output, axis) for output in cut.node.outputs]
    given = cut.integers("split", 1)
    if given is None and len(set(sizes)) == 1:
        return  # equal parts stay equal
    cut.node.attributes.pop("num_outputs", None)
    cut.set_integers("split", 1, sizes)


def _slice(cut: CutNode) -> None:
    """Ranges count the channels that are left; where these are no range any more, they are gathered first."""
    x = cut.input(0)
    if not cut.cuts(x):
        return
    starts, ends = cut.integers("starts", 1), cut.integers("ends", 2)
    assert starts is not None, "channels are followed through known ranges"
    assert ends is not None
    axes, steps = cut.integers("axes", 3), cut.integers("steps", 4)
    places = {int(axis) % rank_of(x): place for place, axis in enumerate(range(starts.size) if axes is None else axes)}
    strides = np.ones(starts.size, np.int64) if steps is None else steps
    for axis, kept in cut.cuts(x).items():
        if axis not in places:
            continue
        place = places[axis]
        range_ = as_slice(int(starts[place]), int(ends[place]), int(strides[place]))
        left = _renumbered(kept, np.arange(old_extent(x, axis))[range_])
        stride = int(left[1] - left[0]) if left.size > 1 else 1
        if (np.diff(left) != stride).any():
            _gather_first(cut, axis, left)
            left, stride = np.arange(left.size), 1
        starts[place], ends[place], strides[place] = left[0], left[-1] + np.sign(stride), stride
        if ends[place] < 0:
            ends[place] = _BEFORE_FIRST
    cut.set_integers("starts", 1, starts)
    cut.set_integers("ends", 2, ends)
    if steps is not None:  # else what is left of a range is one
        cut.set_integers("steps", 4, strides)


def _gather_first(cut: CutNode, axis: int, indices: IntArray) -> None:
    name = f"channels_{axis}"
    operands = [cut.input(0), cut.constant(f"{name}_indices", indices)]
    cut.set_operand(0, cut.insert("Gather", operands, name, axis=axis))


def _gather(cut: CutNode) -> None:
    """Indices count the channels that are left."""
    axis, x, indices = cut.axis(0), cut.input(0), cut.integers("indices", 1)
    if axis is None or indices is None:
        return
    left = indices % old_extent(x, axis)
    for place, kept in cut.cuts(cut.node.outputs[0]).items():
        if axis <= place < axis + indices.ndim:
            left = left.take(kept, place - axis)
    cut.set_integers("indices", 1, np.searchsorted(cut.cuts(x)[axis], left))


def _renumbered(kept: IntArray, indices: IntArray) -> IntArray:
    """Return the new places of those of `indices` that are kept."""
    return np.searchsorted(kept, indices[np.isin(indices, kept)])


FOLLOW: dict[str, Follow] = {"Gather": _gather, "Slice": _slice, "Split": _split}
