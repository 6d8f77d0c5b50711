"""How many channels of each group go at some share of channels, and which counts remove so much of the model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx_ir as ir

from graphprune.analysis.channels import ChannelGroup
from graphprune.analysis.channels.values import batch_norm_scales, channel_values, real_values
from graphprune.errors import RecipeError
from graphprune.masks.channel_criteria import ChannelGroupValues, ChannelScores, ChannelValues, score_channels
from graphprune.planning.channels.options import ChannelOptions

Counts = dict[str, int]
"""How many channels of each group go, by its name."""

_STEPS = 40  # of bisection: the share is then exact to far less than one channel


Fluctuations = Mapping[str, ChannelValues]
"""What samples say of the inputs that layers read of each group, by its name; see `ChannelGroupValues`."""


def group_values(
    group: ChannelGroup, values: dict[str, ir.Value], fluctuations: ChannelValues | None = None
) -> ChannelGroupValues:
    """Read what a criterion sees of a group."""
    producers, scales = (
        [channel_values(each, real_values(values[each.name])) for each in slices]
        for slices in (group.producers, batch_norm_scales(group, values))
    )
    return ChannelGroupValues(group.name, producers, scales, fluctuations)


@dataclass(frozen=True)
class ChannelScope:
    """Groups that share one budget.

    Attributes:
        groups: The groups.
        sparsity: The share of channels that go.
        is_global: Whether one threshold holds for all of them, instead of the share for each.
        options: How channels are chosen.
        values: The constants of the model by name.
        costs: What one channel of each group counts, by the group's name.
        fluctuations: Where samples are looked at.
    """

    groups: Sequence[ChannelGroup]
    sparsity: float
    is_global: bool
    options: ChannelOptions
    values: dict[str, ir.Value]
    costs: Mapping[str, float]
    fluctuations: Fluctuations

    def counts(self, level: float) -> dict[str, int]:
        """Return how many channels of each group go at that share of all of them.

        Raises:
            RecipeError: A group cannot be ranked (GP323, GP338), where the scope is global.
        """
        shares = self._global_shares(level) if self.is_global else [level] * len(self.groups)
        return {
            group.name: _rounded(group, share, self.options) for group, share in zip(self.groups, shares, strict=True)
        }

    def _global_shares(self, level: float) -> list[float]:
        """One threshold for all channels, as many as come closest to that share of their cost; ties go in order."""
        costs = np.concatenate([np.full(group.size, self.costs[group.name]) for group in self.groups])
        order = np.argsort(np.concatenate([self.scores(group) for group in self.groups]), kind="stable")
        middles = np.cumsum(costs[order]) - costs[order] / 2
        taken = np.zeros(costs.size, bool)
        taken[order[middles < level * costs.sum()]] = True
        parts = np.split(taken, np.cumsum([group.size for group in self.groups])[:-1])
        return [float(part.mean()) for part in parts]

    def scores(self, group: ChannelGroup) -> ChannelScores:
        """Return what the channels of a group are worth.

        Raises:
            RecipeError: It cannot be ranked (GP306, GP323, GP338).
        """
        if group.name not in self._scored:
            found = group_values(group, self.values, self.fluctuations.get(group.name))
            self._scored[group.name] = score_channels(self.options.criterion, found)
        return self._scored[group.name]

    @cached_property
    def _scored(self) -> dict[str, ChannelScores]:
        return {}


def _rounded(group: ChannelGroup, share: float, options: ChannelOptions) -> int:
    """The channels of a group that go: so many that those which stay are a whole number of vectors."""
    indices = group.producers[0].repeat
    step = options.round_to // math.gcd(options.round_to, indices)
    wanted = max(group.size - round(group.size * share), options.min_kept, 1)
    return max(0, group.size - math.ceil(wanted / step) * step)


def solve_counts(
    counts_at: Callable[[float], Counts], removed: Callable[[Counts], float], wanted: float, what: str
) -> Counts:
    """Return how many channels of each group go so that at least `wanted` is removed, and as little more as is found.

    All groups give the least share of channels that is enough. Where several groups make a step at that share, such as
    the heads of all layers, only so many do as are needed; and where the last step was more than needed, the other
    groups give less.

    Args:
        counts_at: The channels of each group that go at a share of channels; they do not fall with it.
        removed: The share of the model that counts remove; it does not fall with any.
        wanted: What is asked for.
        what: Its unit, for the message.

    Raises:
        RecipeError: It cannot be reached (GP339).
    """
    most = removed(counts_at(1.0))
    if most < wanted:
        raise RecipeError(f"recipe: {most:.1%} of all {what} can go at most, {wanted:.1%} are asked for", code="GP339")
    best, last = _solved(counts_at, removed, wanted, {})
    held: Counts = {}
    while last is not None:
        held[last] = best[last]
        counts, last = _solved(counts_at, removed, wanted, held)
        if removed(counts) >= removed(best):
            break
        best = counts
    return best


def _solved(
    counts_at: Callable[[float], Counts], removed: Callable[[Counts], float], wanted: float, held: Counts
) -> tuple[Counts, str | None]:
    """The least share that is enough where some groups give no less than `held`; then see `_stepped`."""

    def at(level: float) -> Counts:
        return {name: max(count, held.get(name, 0)) for name, count in counts_at(level).items()}

    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if removed(at(middle)) >= wanted else (middle, high)
    return _stepped(at(low), at(high), removed, wanted)


def _stepped(low: Counts, high: Counts, removed: Callable[[Counts], float], wanted: float) -> tuple[Counts, str | None]:
    """Take the steps of single groups from `low` to `high` that are needed, large ones first and the least last.

    Returns:
        The counts, and the group that made the last step; None where `low` is enough.
    """
    if removed(low) >= wanted:
        return low, None
    steps = [name for name in low if high[name] != low[name]]
    enough = []
    for name in sorted(steps, key=lambda name: -removed(low | {name: high[name]})):
        if removed(low | {name: high[name]}) < wanted:
            low |= {name: high[name]}
        else:
            enough.append(name)
    last = min(enough, key=lambda name: removed(low | {name: high[name]}))
    return low | {last: high[last]}, last
