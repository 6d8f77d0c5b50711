"""Which channels of a model are constant, usually zero, so that they can be removed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.analysis.channels.equations import Read
from graphprune.analysis.channels.groups import ChannelGroup, ChannelSlice
from graphprune.analysis.channels.layout import ChannelLayout, IntArray, Kept
from graphprune.analysis.channels.state import UNKNOWN, FloatArray
from graphprune.analysis.channels.values import constant_values, read, taken
from graphprune.analysis.channels.walk import collect
from graphprune.diagnostics import Skip
from graphprune.graph.nodes import describe

_SOME = 8  # indices that are kept, which decide for almost any weight that it is not zero

Channels = Mapping[str, IntArray]
"""Channels by the name of their group."""

CanFold = Callable[[ir.Node], bool]
"""Whether what a node reads of a constant channel can be folded into its bias."""


@dataclass(frozen=True)
class Removable:
    """The channels that can be removed.

    Attributes:
        channels: By group.
        folded: The nodes that read nonzero constants of these channels, and the constants, float64 [inputs]; zero
            for all other channels.
        skips: Why channels whose weights are zero have to stay.
    """

    channels: Channels
    folded: tuple[tuple[ir.Node, FloatArray], ...]
    skips: tuple[Skip, ...]


def removable_channels(layout: ChannelLayout, model: ir.Model, can_fold: CanFold) -> Removable:
    """Find the channels that are constants wherever they are read, without leaving a tensor empty.

    Their weights are zero, but for the columns of other channels that go and are zero; what they are follows from
    biases and norms. Skips: the group is blocked (GP370 to GP378), a constant is read where it
    cannot be folded into a bias (GP380), an axis would be empty (GP381), or something else decides what is read
    (GP382).

    Args:
        layout: Of `model`.
        model: The model; all of its weights are read.
        can_fold: Which nodes have a bias that constants can be folded into.
    """
    held = _Held(constant_values(model))
    zero: Channels = {}
    while True:
        kept = layout.kept(zero)
        reads = collect(model, partial(held.along, kept=kept)).equations.reads
        found = _Found(layout, reads, can_fold)
        made = {group.name: held.zeros(group.size, group.producers, kept) for group in layout.groups}
        grown = {name: channels[~found.nonzero[layout.components(name)[channels]]] for name, channels in made.items()}
        if _count(grown) == _count(zero):
            break
        zero = grown
    constant = {name: channels[~found.bad[layout.components(name)[channels]]] for name, channels in made.items()}
    gone, emptied = _without_empty_axes(layout, {name: each for name, each in constant.items() if each.size})
    skips = [*emptied, *_blocked(layout, held, kept), *_staying(found, made)]
    return Removable(gone, tuple(found.folded(gone)), tuple(skips))


class _Held:
    """What constants hold along their axes; each is read once, and again where some of it goes."""

    def __init__(self, values: Mapping[str, ir.Value]) -> None:
        self._values = values
        self._found: dict[str, list[FloatArray]] = {}

    def along(self, value: ir.Value, axis: int, kept: Kept) -> FloatArray:
        """Return the one element of each index, zero where all that are kept are zero, or else NaN."""
        name = str(value.name)
        if name not in self._found:
            self._found[name] = _alone(read(value))
        found = self._found[name][axis]
        cuts = {other: indices for other, indices in kept.get(value, {}).items() if other != axis}
        if not cuts:
            return found
        some = _alone(taken(read(value), {other: indices[:_SOME] for other, indices in cuts.items()}))[axis]
        if np.isnan(some[np.isnan(found)]).all():
            return found
        return _alone(taken(read(value), cuts))[axis]

    def zeros(self, size: int, slices: Iterable[ChannelSlice], kept: Kept) -> IntArray:
        """Return which of `size` channels are zero in all of `slices`."""
        zero = np.ones(size, bool)
        for each in slices:
            zero &= (self.along(self._values[each.name], each.axis, kept)[each.indices()] == 0).all(axis=1)
        return np.flatnonzero(zero)


def _alone(array: npt.NDArray[np.generic]) -> list[FloatArray]:
    """Return, for each axis, the one element of each index, zero where all are zero, or else NaN."""
    nonzero, found = array != 0, []
    for axis, extent in enumerate(array.shape):
        if extent == array.size:
            found.append(array.reshape(-1).astype(np.float64))
            continue
        rest = nonzero.any(axis=0, keepdims=True) if axis else nonzero  # rows first: these lie together
        found.append(np.where(rest.any(axis=tuple(a for a in range(array.ndim) if a != axis)), UNKNOWN, 0.0))
    return found


class _Found:
    """What is read of each component of unknowns.

    Attributes:
        nonzero: Whether something else than zero is read of it.
        bad: Whether something is that is not known, or cannot be folded into a bias.
    """

    def __init__(self, layout: ChannelLayout, reads: Sequence[Read], can_fold: CanFold) -> None:
        self._layout = layout
        self._reads = reads
        self.nonzero, self.bad = (np.zeros(layout.unknowns, bool) for _ in range(2))
        self._blame: dict[int, tuple[Read, float]] = {}
        for each in reads:
            roots, other = layout.roots(each.labels), each.at != 0
            wrong = np.isnan(each.at) | (other & (not can_fold(each.node)))
            self.nonzero[roots[other]] = True
            self.bad[roots[wrong]] = True
            for root, at in zip(roots[wrong].tolist(), each.at[wrong].tolist(), strict=True):
                self._blame.setdefault(root, (each, at))

    def folded(self, gone: Channels) -> Iterator[tuple[ir.Node, FloatArray]]:
        """Yield what nodes read of channels that go, where it is not zero."""
        goes = np.zeros(self._layout.unknowns, bool)
        for name, channels in gone.items():
            goes[self._layout.components(name)[channels]] = True
        for each in self._reads:
            at = np.where(goes[self._layout.roots(each.labels)], each.at, 0.0)
            if at.any():
                yield each.node, at

    def staying(self, name: str, channels: IntArray) -> Iterator[Skip]:
        """Yield why channels without weights stay."""
        roots = self._layout.components(name)[channels]
        if (stay := roots[self.bad[roots]]).size:
            each, at = self._blame[int(stay[0])]
            start = f"the weights of {stay.size} channels are zero, but {describe(each.node)} reads"
            if np.isnan(at):
                yield Skip("GP382", name, f"{start} something else of them")
            else:
                yield Skip("GP380", name, f"{start} {at:g} of them, and cannot take that into a bias")


def _count(channels: Channels) -> int:
    return sum(each.size for each in channels.values())


def _staying(found: _Found, made: Channels) -> Iterator[Skip]:
    for name, channels in made.items():
        yield from found.staying(name, channels)


def _blocked(layout: ChannelLayout, held: _Held, kept: Kept) -> Iterator[Skip]:
    for group, skip in zip(layout.blocked, layout.skips, strict=True):
        if count := held.zeros(group.size, _masked(group), kept).size:
            yield Skip(skip.code, group.name, f"{count} zero channels stay: {skip.reason}")


def _masked(group: ChannelGroup) -> tuple[ChannelSlice, ...]:
    return (*group.producers, *group.carriers)


def _without_empty_axes(layout: ChannelLayout, removed: Channels) -> tuple[Channels, list[Skip]]:
    """Keep a channel of whatever would leave an axis without any."""
    left, skips = dict(removed), {}
    while (empty := _empty(layout.kept(left))) is not None:
        name = next(n for n, gone in left.items() if gone.size and _touches(layout, n, gone, empty))
        left[name] = left[name][1:]
        reason = f"all {removed[name].size} channels are constant; one stays, for no tensor may be empty"
        skips[name] = Skip("GP381", name, reason)
    return {name: gone for name, gone in left.items() if gone.size}, list(skips.values())


def _empty(kept: Kept) -> tuple[ir.Value, int] | None:
    return next(
        ((value, axis) for value, cuts in kept.items() for axis, indices in cuts.items() if not indices.size), None
    )


def _touches(layout: ChannelLayout, name: str, gone: IntArray, where: tuple[ir.Value, int]) -> bool:
    value, axis = where
    return axis in layout.kept({name: gone}).get(value, {})
