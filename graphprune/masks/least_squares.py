"""What the weights that stay have to be so that a layer's outputs are as close to wanted ones as they can be."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_TOLERANCE = 1e-7
"""Of a row's gradient, over that of zeros in the place of the weights."""

_MOST_STEPS = 500


def solve_kept(weight: Floats, target: Floats, moments: Floats, keep: Mask) -> Floats:
    """Return the weights V, zero where they are not kept, of the least `|V X - T X|` for inputs X.

    Conjugate gradients of all rows at once, scaled by the diagonal; each step multiplies by the moments once.

    Args:
        weight: Where to begin, [outputs, columns].
        target: T, likewise.
        moments: `X X^T`, damped so that they are positive definite, [columns, columns].
        keep: What may be other than zero, of the shape of `weight`.
    """
    scale = keep / np.diagonal(moments)
    found = np.where(keep, weight, 0.0)
    residual = keep * ((target - found) @ moments)
    limit = _TOLERANCE * np.linalg.norm(keep * (target @ moments), axis=1)
    direction = scale * residual
    energy = np.sum(residual * direction, axis=1, keepdims=True)
    for _ in range(_MOST_STEPS):
        if np.all(np.linalg.norm(residual, axis=1) <= limit):
            break
        image = keep * (direction @ moments)
        step = _ratio(energy, np.sum(direction * image, axis=1, keepdims=True))
        found += step * direction
        residual -= step * image
        scaled = scale * residual
        after = np.sum(residual * scaled, axis=1, keepdims=True)
        direction = scaled + _ratio(after, energy) * direction
        energy = after
    return found


def _ratio(one: Floats, two: Floats) -> Floats:
    """Their quotient; 0 of a row that is done."""
    return np.divide(one, two, out=np.zeros_like(one), where=two > 0)
