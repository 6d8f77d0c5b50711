"""The layers that read channels: what these are worth there on samples, and what outputs lose with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from graphprune.analysis.channels import ChannelGroup, ChannelSlice
from graphprune.analysis.weights import LinearWeight
from graphprune.calibration.inputs import LayerInputs
from graphprune.calibration.moments import Floats, InputMoments

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Consumer:
    """A layer in front of which samples were seen.

    Attributes:
        weight: Its weight.
        means: What each group of a convolution multiplies in the mean, [groups, columns]; other layers have one.
        fluctuations: See `graphprune.masks.channel_criteria.ChannelGroupValues`, of each input, [inputs].
    """

    weight: LinearWeight
    means: Floats
    fluctuations: Floats

    @classmethod
    def of(cls, weight: LinearWeight, moments: Sequence[InputMoments]) -> Consumer:
        """Take what is needed of the moments of what a weight multiplies."""
        squares = np.square(_matrices(weight, len(moments))).sum(axis=1)
        by_column = squares * np.stack([each.variance for each in moments])
        by_input = by_column.reshape(-1, weight.shape[weight.axes.input]).sum(axis=0)
        return cls(weight, np.stack([each.mean for each in moments]), by_input)

    def lost(self, gone: Indices) -> Floats:
        """Return what the mean of each output loses when some inputs become zero, [outputs]."""
        means = np.zeros_like(self.means).reshape(len(self.means), -1, self.fluctuations.size)
        means[..., gone] = self.means.reshape(means.shape)[..., gone]
        columns = means.reshape(*self.means.shape, 1)
        return (_matrices(self.weight, len(self.means)) @ columns).reshape(-1)


def _matrices(weight: LinearWeight, groups: int) -> Floats:
    """What multiplies the inputs of each group, [groups, outputs of a group, columns]."""
    rows = weight.axes.rows(weight.real_values()).astype(np.float64)
    return rows.reshape(groups, len(rows) // groups, -1)


def observe(
    weights: Iterable[LinearWeight], inputs: LayerInputs, on_layer: Callable[[int], None] | None = None
) -> dict[str, Consumer]:
    """Return the layers by the names of their weights.

    Args:
        weights: The weights of the nodes at which `inputs` stops.
        inputs: Samples in front of them; nothing is changed there.
        on_layer: Called with the number of layers that are seen.
    """
    by_node, found = {weight.node: weight for weight in weights}, dict[str, Consumer]()
    for nodes in inputs.stops():
        for weight in (by_node[node] for node in nodes):
            found[weight.name] = Consumer.of(weight, inputs.moments(weight))
            if on_layer:
                on_layer(len(found))
    return found


def group_fluctuations(group: ChannelGroup, consumers: Mapping[str, Consumer]) -> Floats:
    """Return the sum over the layers that read a group, [channels, inputs of a channel].

    Where layers read different numbers of inputs for a channel, as behind a Flatten, that of each is their mean.
    """
    parts = [consumers[each.name].fluctuations[each.indices()] for each in group.readers]
    if len({part.shape for part in parts}) > 1:
        parts = [part.mean(axis=1, keepdims=True) for part in parts]
    return np.asarray(np.sum(parts, axis=0))


def pruned_inputs(each: ChannelSlice, channels: Sequence[int]) -> Indices:
    """Return the indices of some channels along the axis of a constant."""
    return each.indices()[list(channels)].reshape(-1)
