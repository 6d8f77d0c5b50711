"""Criteria of channels: scores of the channels of a coupled group. Those with the lowest scores are pruned first."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from graphprune.errors import RecipeError

ChannelValues = npt.NDArray[Any]
"""The elements of a constant that belong to each channel, [channels, elements]."""
ChannelScores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ChannelGroupValues:
    """What a criterion sees of a group.

    Attributes:
        name: Of the group.
        producers: The weights that make the channels.
        scales: The scales of batch norms that follow them.
        fluctuations: How much each input of a channel that layers read varies in what they make of it: its variance
            times the squares of the weights that multiply it, summed over layers, [channels, inputs of a channel];
            None where no samples are looked at.
    """

    name: str
    producers: Sequence[ChannelValues]
    scales: Sequence[ChannelValues]
    fluctuations: ChannelValues | None = None


ChannelCriterion = Callable[[ChannelGroupValues], ChannelScores]
"""Returns one score a channel. Scores of different groups are compared where the scope is global."""


def root_mean_square(group: ChannelGroupValues) -> ChannelScores:
    """Return the root mean square over all weights of each channel: an L2 norm that does not grow with the fan-in."""
    totals = np.sum([np.square(values, dtype=np.float64).sum(axis=1) for values in group.producers], axis=0)
    scores: ChannelScores = np.sqrt(totals / _elements(group))
    return scores


def mean_magnitude(group: ChannelGroupValues) -> ChannelScores:
    """Return the mean magnitude over all weights of each channel: an L1 norm that does not grow with the fan-in."""
    totals = np.sum([np.abs(values, dtype=np.float64).sum(axis=1) for values in group.producers], axis=0)
    scores: ChannelScores = totals / _elements(group)
    return scores


def batch_norm_scale(group: ChannelGroupValues) -> ChannelScores:
    """Return the mean magnitude of the batch norms' scales (Liu et al. 2017, arXiv 1708.06519).

    Raises:
        RecipeError: No batch norm follows the group (GP338).
    """
    if not group.scales:
        message = f"group '{group.name}': criterion batch-norm needs a BatchNormalization behind it, found none"
        raise RecipeError(message, code="GP338")
    scores: ChannelScores = np.mean([np.abs(values, dtype=np.float64).mean(axis=1) for values in group.scales], axis=0)
    return scores


def random(group: ChannelGroupValues) -> ChannelScores:
    """Return random scores, the same ones for the same name: a baseline."""
    return np.random.default_rng(zlib.crc32(group.name.encode())).random(len(group.producers[0]))


def fluctuation(group: ChannelGroupValues) -> ChannelScores:
    """Return the means over the inputs of a channel of their fluctuations, standardised over all inputs of the group.

    An et al. 2024, "Fluctuation-based Adaptive Structured Pruning for Large Language Models" (FLAP): what does not vary
    can be made up for by a bias, and what is standardised is comparable between groups.

    Raises:
        RecipeError: There are no samples (GP306).
    """
    if group.fluctuations is None:
        message = f"criterion '{FLAP}' needs samples for group '{group.name}': give --calibration DATA"
        raise RecipeError(f"{message}, or call graphprune.prune_channels(model, recipe, samples)", code="GP306")
    scores: ChannelScores = group.fluctuations.mean(axis=1) - group.fluctuations.mean()
    deviation = group.fluctuations.std(ddof=1)
    return scores / deviation if deviation else scores


FLAP = "flap"
"""What goes by samples: its scores are of no group's own size, and compared by what channels cost."""

CHANNEL_CRITERIA: dict[str, ChannelCriterion] = {
    "l2": root_mean_square,
    "l1": mean_magnitude,
    "batch-norm": batch_norm_scale,
    "random": random,
    FLAP: fluctuation,
}
"""By the name that recipes and plans give."""


def score_channels(criterion: str, group: ChannelGroupValues) -> ChannelScores:
    """Return the scores of `CHANNEL_CRITERIA[criterion]`.

    Raises:
        RecipeError: A weight holds NaN or an infinity (GP323), the criterion does not apply (GP338), or there are no
            samples (GP306).
    """
    scores = CHANNEL_CRITERIA[criterion](group)
    if not np.isfinite(scores).all():
        raise RecipeError(f"group '{group.name}' holds NaN or an infinity and cannot be ranked", code="GP323")
    return scores


def weakest(scores: ChannelScores, count: int) -> tuple[int, ...]:
    """Return the channels of the lowest scores, in order; among equals, those of lower index."""
    return tuple(int(channel) for channel in np.sort(np.argsort(scores, kind="stable")[:count]))


def _elements(group: ChannelGroupValues) -> int:
    return sum(values.shape[1] for values in group.producers)
