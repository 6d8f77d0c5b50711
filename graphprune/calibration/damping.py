"""How much second moments are damped: so much that samples which were held back come out best."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from graphprune.calibration.moments import DriftMoments, InputMoments
from graphprune.masks.second_order import DAMPING

Floats = npt.NDArray[np.float64]

CHOICES = (DAMPING, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Shares of the mean diagonal. Samples that are few, or alike, say little of directions in which they hardly vary."""


def choose_damping(exact: Floats, moments: InputMoments, drift: DriftMoments | None, *, centred: bool) -> float:
    """Return by how much weights are damped best that make up for drift: see `Group.target`.

    Of each choice, they are computed by the samples that are not held back, and compared on those that are:
    `|V x - W x'|`, for x as it is now and x' as it was, is `tr(D S D^T) - 2 tr(D (W C)^T)` and what no choice changes,
    with D = V - W, S = E[x x^T] and C = E[(x' - x) x^T].

    Args:
        exact: W, [outputs, columns].
        moments: Of x.
        drift: Of x' - x; without it, or without samples that are held back, the choice is `DAMPING`.
        centred: Whether means are left to the bias.
    """
    if drift is None or drift.held is None or moments.held is None:
        return DAMPING
    seen, held = moments.without(moments.held), moments.held
    second, wanted = seen.second(centred=centred), exact @ drift.without(drift.held).second(seen, centred=centred)
    values, vectors = np.linalg.eigh(second)
    there = vectors.T @ held.second(centred=centred) @ vectors
    lost, lost_there = wanted @ vectors, exact @ drift.held.second(held, centred=centred) @ vectors
    mean = max(float(values.mean()), np.finfo(np.float64).tiny)

    def error(damping: float) -> float:
        change = lost / (np.maximum(values, 0) + damping * mean)
        return float(np.sum((change @ there) * change) - 2 * np.sum(change * lost_there))

    return min(CHOICES, key=error)
