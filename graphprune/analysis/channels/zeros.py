"""Which channels of a model are zero, and can be taken out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.analysis.channels.groups import ChannelGroup, ChannelSlice
from graphprune.analysis.channels.layout import ChannelLayout, IntArray, Kept
from graphprune.analysis.channels.values import constant_values, read
from graphprune.diagnostics import Skip

Removed = Mapping[str, IntArray]
"""Channels by the name of their group."""


def removable_channels(layout: ChannelLayout, model: ir.Model) -> tuple[Removed, list[Skip]]:
    """Find the channels that are zero wherever they are read, without leaving a tensor empty.

    What is zero but for the columns of channels that go counts as zero.

    Returns:
        The channels by group, and a skip for each group of which zero channels have to stay: because what reads them
        sees something else (GP380), because the group is blocked (GP370 to GP378), because a bias or shift of theirs
        is not zero (GP382), or because an axis would be empty (GP381).
    """
    zeros = _Zeros(constant_values(model))
    removed: dict[str, IntArray] = {}
    while True:
        kept = layout.kept(removed)
        found = {group.name: zeros.of(group, kept) for group in layout.groups if group.zero_where_read}
        found, emptied = _without_empty_axes(layout, {name: gone for name, gone in found.items() if gone.size})
        if sum(gone.size for gone in found.values()) == sum(gone.size for gone in removed.values()):
            return removed, [*emptied, *_skips(layout, zeros, kept)]
        removed = found


class _Zeros:
    """Which indices of which axes hold zeros alone; every constant is read once an axis."""

    def __init__(self, values: Mapping[str, ir.Value]) -> None:
        self._values = values
        self._found: dict[tuple[str, int], npt.NDArray[np.bool_]] = {}

    def of(self, group: ChannelGroup, kept: Kept) -> IntArray:
        """Return the channels that are zero in all that makes or carries them."""
        return self.within(group.size, (*group.producers, *group.carriers), kept)

    def within(self, size: int, slices: Iterable[ChannelSlice], kept: Kept) -> IntArray:
        """Return which of `size` channels are zero in all of `slices`."""
        zero = np.ones(size, bool)
        for each in slices:
            zero &= self._along(each, kept)[each.indices()].all(axis=1)
        return np.flatnonzero(zero)

    def _along(self, each: ChannelSlice, kept: Kept) -> npt.NDArray[np.bool_]:
        value = self._values[each.name]
        others = {axis: indices for axis, indices in kept.get(value, {}).items() if axis != each.axis}
        key = (each.name, each.axis)
        if others or key not in self._found:
            array = read(value)
            for axis, indices in others.items():
                array = array.take(indices, axis)
            zero = np.logical_not(array.any(axis=tuple(a for a in range(array.ndim) if a != each.axis)))
            if others:
                return zero
            self._found[key] = zero
        return self._found[key]


def _without_empty_axes(layout: ChannelLayout, removed: dict[str, IntArray]) -> tuple[dict[str, IntArray], list[Skip]]:
    """Keep a channel of whatever would leave an axis without any."""
    left, skips = dict(removed), {}
    while (empty := _empty(layout.kept(left))) is not None:
        name = next(n for n, gone in left.items() if gone.size and _touches(layout, n, gone, empty))
        left[name] = left[name][1:]
        reason = f"all {removed[name].size} channels are zero; one stays, for no tensor may be empty"
        skips[name] = Skip("GP381", name, reason)
    return {name: gone for name, gone in left.items() if gone.size}, list(skips.values())


def _empty(kept: Kept) -> tuple[ir.Value, int] | None:
    return next(
        ((value, axis) for value, cuts in kept.items() for axis, indices in cuts.items() if not indices.size), None
    )


def _touches(layout: ChannelLayout, name: str, gone: IntArray, where: tuple[ir.Value, int]) -> bool:
    value, axis = where
    return axis in layout.kept({name: gone}).get(value, {})


def _skips(layout: ChannelLayout, zeros: _Zeros, kept: Kept) -> Iterable[Skip]:
    for group, skip in zip(layout.blocked, layout.skips, strict=True):
        if count := zeros.of(group, kept).size:
            yield Skip(skip.code, group.name, f"{count} zero channels stay: {skip.reason}")
    for group in layout.groups:
        zero = zeros.of(group, kept)
        if not group.zero_where_read and zero.size:
            yield Skip("GP380", group.name, f"{zero.size} zero channels stay: {group.nonzero}")
        elif (made := zeros.within(group.size, group.producers, kept)).size > zero.size:
            carrier = _first_nonzero(group, zeros, kept, np.setdiff1d(made, zero))
            reason = f"the weights of {made.size - zero.size} channels are zero, but '{carrier}' is not there"
            yield Skip("GP382", group.name, reason)


def _first_nonzero(group: ChannelGroup, zeros: _Zeros, kept: Kept, channels: IntArray) -> str:
    return next(
        each.name for each in group.carriers if not np.isin(channels, zeros.within(group.size, [each], kept)).all()
    )
