"""The channels of a model: which constants and which axes of activations hold them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.analysis.channels.groups import ChannelGroup, group_of, named_parts, why_blocked
from graphprune.analysis.channels.partition import Part, partition, producers
from graphprune.analysis.channels.state import Factor, State
from graphprune.analysis.channels.walk import collect
from graphprune.diagnostics import Skip

IntArray = npt.NDArray[np.int64]

Kept = Mapping[ir.Value, Mapping[int, IntArray]]
"""Value -> axis -> the indices that stay, for axes that lose some."""


@dataclass(frozen=True)
class ChannelLayout:
    """The channels of a model.

    Attributes:
        groups: Those that can be removed, in the order of their first producers.
        blocked: Those that cannot.
        skips: Why not, one for each of `blocked` (GP370 to GP378).
    """

    groups: tuple[ChannelGroup, ...]
    blocked: tuple[ChannelGroup, ...]
    skips: tuple[Skip, ...]
    _parts: Mapping[str, Part] = field(repr=False)
    _states: Mapping[ir.Value, State | None] = field(repr=False)
    _root: IntArray = field(repr=False)

    @property
    def unknowns(self) -> int:
        """The number of unknowns."""
        return self._root.size

    def roots(self, labels: IntArray) -> IntArray:
        """Return the component of each of these unknowns."""
        return self._root[labels]

    def components(self, name: str) -> IntArray:
        """Return the component of each channel of a group."""
        first = producers(self._parts[name])[0]
        return self._root[first.axis.base + first.indices[:, 0]]

    def kept(self, removed: Mapping[str, Sequence[int] | IntArray]) -> Kept:
        """Return what every value keeps along the axes that lose something.

        Args:
            removed: Channels that go, by the name of their group.
        """
        gone = np.zeros(self._root.size, bool)
        for name, channels in removed.items():
            gone[self.components(name)[np.asarray(channels, np.int64)]] = True
        gone = gone[self._root]
        found = {value: dict(_cuts(state, gone)) for value, state in self._states.items() if state is not None}
        return {value: cuts for value, cuts in found.items() if cuts}

    def out_of_order(self) -> Mapping[str, ir.Value]:
        """Return the groups whose channels cannot change places, each with a value that is in the way.

        All others lie, wherever they are, along one whole axis in the order of the group. Each operator then treats
        them alike: what tells them apart ties them together or blocks them (as a Softmax or a padding does), and what
        picks, joins or folds them (Slice, Concat, Flatten, ...) leaves another axis behind. So if all their constants
        are permuted alike, all of these values are, and what is summed over channels stays.
        """
        owner, place = (np.full(self._root.size, -1) for _ in range(2))
        for number, group in enumerate(self.groups):
            components = self.components(group.name)
            owner[components], place[components] = number, np.arange(group.size)
        found: dict[str, ir.Value] = {}
        for value, state in self._states.items():
            for factor in () if state is None else state.factors:
                roots = self._root[factor.labels]
                for number in _owners_out_of_order(owner[roots], place[roots], [each.size for each in self.groups]):
                    found.setdefault(self.groups[number].name, value)
        return found

    def channel_map(self, kept: Kept) -> dict[str, tuple[int, ...]]:
        """Return where the outputs of each weight come from once axes have only these indices, in this order.

        A weight that makes channels along several axes has an entry an axis, `name[axis]`.
        """
        axes: dict[str, set[int]] = {}
        for group in (*self.groups, *self.blocked):
            for each in group.producers:
                axes.setdefault(each.name, set()).add(each.axis)
        return {
            str(value.name) if len(axes[str(value.name)]) == 1 else f"{value.name}[{axis}]": tuple(indices.tolist())
            for value, cuts in kept.items()
            for axis, indices in cuts.items()
            if axis in axes.get(str(value.name), ())
        }


def channel_layout(model: ir.Model) -> ChannelLayout:
    """Find which output channels of the linear weights of `model` can be removed, and what is removed with them.

    Every index of every axis of every constant is an unknown; each operator of the main graph equates some, or says
    that they cannot be removed. What is connected is one channel; channels that touch the same axes, equally often and
    in the same roles, are one group. Tensors are not read, but for scalars and constant indices.

    Args:
        model: A model with inferred shapes; open dimensions are allowed where no channels lie along them.
    """
    walk = collect(model)
    root = walk.equations.solve()
    parts = {name: part for part, name in named_parts(partition(walk.equations, root))}
    refused = {name: why_blocked(part, name) for name, part in parts.items()}
    return ChannelLayout(
        groups=tuple(group_of(part, name) for name, part in parts.items() if refused[name] is None),
        blocked=tuple(group_of(part, name) for name, part in parts.items() if refused[name] is not None),
        skips=tuple(skip for skip in refused.values() if skip is not None),
        _parts=parts,
        _states=walk.states,
        _root=root,
    )


def channel_groups(model: ir.Model) -> tuple[list[ChannelGroup], list[Skip]]:
    """Return the groups of `channel_layout` and its skips, each under the name that its group would have."""
    layout = channel_layout(model)
    return list(layout.groups), list(layout.skips)


def _owners_out_of_order(owners: IntArray, places: IntArray, sizes: Sequence[int]) -> IntArray:
    """Return the groups that own some of a factor's elements, unless one owns all, in order along one axis."""
    touched = np.unique(owners[owners >= 0])
    wide = [extent for extent in owners.shape if extent > 1]
    is_whole = touched.size == 1 and wide == [sizes[int(touched[0])]]
    if is_whole and np.array_equal(places.reshape(-1), np.arange(places.size)):
        return touched[:0]
    return touched


def _cuts(state: State, gone: npt.NDArray[np.bool_]) -> Iterator[tuple[int, IntArray]]:
    for factor in state.factors:
        lost = gone[factor.labels]
        if lost.any():
            yield from _cut_axes(factor, lost)


def _cut_axes(factor: Factor, lost: npt.NDArray[np.bool_]) -> Iterator[tuple[int, IntArray]]:
    """Whole slices along the axes of a factor are lost: the equations see to that."""
    covered = np.zeros(lost.shape, bool)
    for axis in factor.axes:
        others = tuple(other for other in range(lost.ndim) if other != axis)
        along = lost.all(axis=others, keepdims=True)
        if along.any():
            covered |= along
            yield axis, np.flatnonzero(~along)
    assert np.array_equal(covered, lost), "channels do not lie along one axis"
