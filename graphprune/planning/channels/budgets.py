"""How many channels of each group go at some share of channels, and which share removes so much of the model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx_ir as ir

from graphprune.analysis.channels import ChannelGroup
from graphprune.analysis.channels.values import batch_norm_scales, channel_values, real_values
from graphprune.errors import RecipeError
from graphprune.masks.channel_criteria import ChannelGroupValues, ChannelScores, score_channels
from graphprune.planning.channels.options import ChannelOptions

_STEPS = 40  # of bisection: the share is then exact to far less than one channel


def group_values(group: ChannelGroup, values: dict[str, ir.Value]) -> ChannelGroupValues:
    """Read what a criterion sees of a group."""
    producers, scales = (
        [channel_values(each, real_values(values[each.name])) for each in slices]
        for slices in (group.producers, batch_norm_scales(group, values))
    )
    return ChannelGroupValues(group.name, producers, scales)


@dataclass(frozen=True)
class ChannelScope:
    """Groups that share one budget.

    Attributes:
        groups: The groups.
        sparsity: The share of channels that go.
        is_global: Whether one threshold holds for all of them, instead of the share for each.
        options: How channels are chosen.
        values: The constants of the model by name.
    """

    groups: Sequence[ChannelGroup]
    sparsity: float
    is_global: bool
    options: ChannelOptions
    values: dict[str, ir.Value]

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
        """One threshold for all channels; ties go in the order of groups."""
        total = round(sum(group.size for group in self.groups) * level)
        taken = np.zeros(sum(group.size for group in self.groups), bool)
        taken[np.argsort(np.concatenate(self._scores), kind="stable")[:total]] = True
        parts = np.split(taken, np.cumsum([group.size for group in self.groups])[:-1])
        return [float(part.mean()) for part in parts]

    @cached_property
    def _scores(self) -> list[ChannelScores]:
        return [score_channels(self.options.criterion, group_values(group, self.values)) for group in self.groups]


def _rounded(group: ChannelGroup, share: float, options: ChannelOptions) -> int:
    """The channels of a group that go: so many that those which stay are a whole number of vectors."""
    indices = group.producers[0].repeat
    step = options.round_to // math.gcd(options.round_to, indices)
    wanted = max(group.size - round(group.size * share), options.min_kept, 1)
    return max(0, group.size - math.ceil(wanted / step) * step)


def solve_share(removed_at: Callable[[float], float], wanted: float, what: str) -> float:
    """Return the least share of channels at which at least `wanted` is removed.

    Args:
        removed_at: The share of the model that a share of channels removes; it does not fall.
        wanted: What is asked for.
        what: Its unit, for the message.

    Raises:
        RecipeError: It cannot be reached (GP339).
    """
    low, high = 0.0, 1.0
    if removed_at(high) < wanted:
        reason = f"{removed_at(high):.1%} of all {what} can go at most, {wanted:.1%} are asked for"
        raise RecipeError(f"recipe: {reason}", code="GP339")
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if removed_at(middle) >= wanted else (middle, high)
    return high
