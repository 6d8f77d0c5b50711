"""What channels are worth on samples in the layers that read them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from graphprune.analysis.channels import ChannelGroup
from graphprune.analysis.weights import LinearWeight
from graphprune.calibration.inputs import LayerInputs
from graphprune.calibration.moments import Floats, InputMoments


def fluctuations_of(weight: LinearWeight, moments: Sequence[InputMoments]) -> Floats:
    """Return those of each input of a weight, [inputs], see `graphprune.masks.channel_criteria.ChannelGroupValues`.

    Args:
        weight: Of a layer.
        moments: Of what each of its groups multiplies; layers other than convolutions have one.
    """
    rows = weight.axes.rows(weight.real_values()).astype(np.float64)
    squares = np.square(rows).reshape(len(moments), -1, rows[0].size).sum(axis=1)
    by_column = squares * np.stack([each.variance for each in moments])
    return np.asarray(by_column.reshape(-1, weight.shape[weight.axes.input]).sum(axis=0))


def observe(
    weights: Iterable[LinearWeight], inputs: LayerInputs, on_layer: Callable[[int], None] | None = None
) -> dict[str, Floats]:
    """Return the fluctuations of the inputs of layers, by the names of their weights.

    Args:
        weights: The weights of the nodes at which `inputs` stops.
        inputs: Samples in front of them; nothing is changed there.
        on_layer: Called with the number of layers that are seen.
    """
    by_node, found = {weight.node: weight for weight in weights}, dict[str, Floats]()
    for nodes in inputs.stops():
        for weight in (by_node[node] for node in nodes):
            found[weight.name] = fluctuations_of(weight, inputs.moments(weight))
            if on_layer:
                on_layer(len(found))
    return found


def group_fluctuations(group: ChannelGroup, fluctuations: Mapping[str, Floats]) -> Floats:
    """Return the sum over the layers that read a group, [channels, inputs of a channel].

    Where layers read different numbers of inputs for a channel, as behind a Flatten, that of each is their mean.
    """
    parts = [fluctuations[each.name][each.indices()] for each in group.readers]
    if len({part.shape for part in parts}) > 1:
        parts = [part.mean(axis=1, keepdims=True) for part in parts]
    return np.asarray(np.sum(parts, axis=0))
