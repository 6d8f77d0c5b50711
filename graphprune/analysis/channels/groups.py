"""Channel groups: channels of several weights that can only be removed together, and what carries them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from graphprune.analysis.channels.equations import Reason, Role
from graphprune.analysis.channels.index_map import IndexMap
from graphprune.analysis.channels.partition import Member, Part, is_whole, producers
from graphprune.diagnostics import Skip


@dataclass(frozen=True)
class ChannelSlice:
    """The indices of one axis of a constant that belong to the channels of a group.

    Attributes:
        name: Of the initializer, or of the output of the Constant node.
        axis: The axis.
        index: Which indices belong to which channel.
    """

    name: str
    axis: int
    index: IndexMap

    @property
    def start(self) -> int:
        """The first index of channel 0."""
        return self.index.start

    @property
    def repeat(self) -> int:
        """The number of indices of each channel."""
        return self.index.repeat

    @property
    def is_consecutive(self) -> bool:
        """Whether channel `c` is the one index `start + c`."""
        return self.index.is_consecutive

    def indices(self) -> npt.NDArray[np.int64]:
        """Return the indices of each channel, int64 [channels, repeat]."""
        return self.index.indices()

    def __str__(self) -> str:
        return f"{self.name}[{', '.join([':'] * self.axis + [str(self.index)])}]"


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that the same axes of the same constants hold; each slice has all of them, in the same order.

    Attributes:
        name: The first producer's, with the index where it starts if a group has only a part of that weight.
        size: The number of channels.
        producers: Weights whose outputs the channels are; they are scored, and masked.
        carriers: Constants that must be masked too for a channel to be zero: biases, scale and shift of norms,
            depthwise weights, tables, scales.
        readers: Weights that multiply the channels. Free where these are zero.
        companions: Constants that belong to the channels and keep their values: running statistics, divisors, slopes.
        nonzero: Why a masked channel may be read as something else than zero; None where it is zero.
    """

    name: str
    size: int
    producers: tuple[ChannelSlice, ...]
    carriers: tuple[ChannelSlice, ...]
    readers: tuple[ChannelSlice, ...]
    companions: tuple[ChannelSlice, ...]
    nonzero: str | None = None

    @property
    def zero_where_read(self) -> bool:
        """Whether masking producers and carriers makes a channel exactly zero wherever weights read it."""
        return self.nonzero is None


def named_parts(parts: Iterable[Part]) -> Iterator[tuple[Part, str]]:
    """Name each part after its first producer; one that has only a part of that weight also after where it starts.

    A weight that makes channels along several axes has the later ones named after the axis too.
    """
    axes: dict[str, int] = {}
    for part in parts:
        first = producers(part)[0]
        name = str(first.axis.constant.name)
        if axes.setdefault(name, first.axis.axis) != first.axis.axis:
            name = f"{name}[{first.axis.axis}]"
        yield part, name if is_whole(part) else f"{name}:{first.indices[0, 0]}"


def why_blocked(part: Part, name: str) -> Skip | None:
    """Return why nothing can be removed from a part, or None if something can."""
    if part.blocked is not None:
        return Skip(part.blocked.code, name, _refusal(part, part.blocked))
    if part.size == 1 and is_whole(part):
        return Skip("GP377", name, "one channel alone, or all tied together, cannot be removed")
    return None


def _refusal(part: Part, reason: Reason) -> str:
    weights = {member.axis.constant for member in producers(part)}
    of = f" of {len(weights)} weights" if len(weights) > 1 else ""
    return f"{producers(part)[0].indices.size} channels{of} cannot be removed: {reason.text}"


def group_of(part: Part, name: str) -> ChannelGroup:
    """Return what a part has, as slices of constants."""
    return ChannelGroup(
        name=name,
        size=part.size,
        producers=_slices(producers(part)),
        carriers=_slices(m for m in part.members if _is_carrier(m.role)),
        readers=_slices(m for m in part.members if m.role & Role.READER),
        companions=_slices(m for m in part.members if m.role == Role.COMPANION),
        nonzero=None if part.nonzero is None else part.nonzero.text,
    )


def _is_carrier(role: int) -> bool:
    """Also what no node has a role for, as a factor of a weight: it counts as masked wherever it is used."""
    return role == 0 or (role & (Role.CARRIER | Role.PRODUCER)) == Role.CARRIER


def _slices(members: Iterable[Member]) -> tuple[ChannelSlice, ...]:
    return tuple(_slice(member) for member in members)


def _slice(member: Member) -> ChannelSlice:
    index = IndexMap.fit(member.indices)
    assert index is not None, "partition cuts parts until strides describe them"
    return ChannelSlice(str(member.axis.constant.name), member.axis.axis, index)
