"""What is done to the weights that stay, so that outputs stay closer to what they were."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from graphprune.errors import InputError


class Repair(StrEnum):
    """What is done so that outputs stay closer to what they were.

    Attributes:
        BIAS: Biases take what the mean of an output loses.
        DRIFT: Weights first make up for what earlier layers have changed: they become those that, of what they multiply
            now, are closest to the outputs of the dense model.
        DAMPING: Where drift is made up for, second moments are damped by what samples that are held back ask for.
        LEAST_SQUARES: Weights that stay go to the optimum of their output.
        BATCH_NORM: Each output channel gets the mean and the deviation that it has in the dense model, of pruned layers
            and of those behind them.
        BLOCKS: Blocks of several layers are trained in the end, if the model's outputs are then closer to the dense
            model's on samples that are held back from all else.
    """

    BIAS = "bias"
    DRIFT = "drift"
    DAMPING = "damping"
    LEAST_SQUARES = "least-squares"
    BATCH_NORM = "batch-norm"
    BLOCKS = "blocks"


def known_repairs(names: Collection[str]) -> frozenset[Repair]:
    """Return the repairs of some names.

    Raises:
        InputError: One is unknown (GP586), or is damping without drift (GP596).
    """
    for name in names:
        if name not in set(Repair):
            raise InputError(f"repair is '{name}', expected some of {', '.join(Repair)}", code="GP586")
    if Repair.DAMPING in names and Repair.DRIFT not in names:
        raise InputError("repair 'damping' is of what makes up for drift, give 'drift' too", code="GP596")
    return frozenset(map(Repair, names))
