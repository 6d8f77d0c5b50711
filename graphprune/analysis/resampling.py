"""Where Resize reads, and with which weights: the coordinate rules of ONNX, one axis at a time, in NumPy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Axis:
    """An axis of `size` elements resized to `length`; `region` is its region of interest as fractions."""

    size: int
    length: int
    scale: float
    region: tuple[float, float]


@dataclass(frozen=True)
class Resampling:
    """The attributes of Resize that say how coordinates and weights are made."""

    mode: str
    coordinates: str
    nearest: str
    cubic_a: float
    exclude_outside: bool
    antialias: bool


@dataclass(frozen=True)
class Taps:
    """Output `o` is the sum over `t` of `weights[o, t] * input[places[o, t]]`, or one element where there are none.

    `outside` marks outputs whose coordinate lies outside the input, which a region of interest may cause.
    """

    places: Array
    weights: Array | None
    outside: Array


def axis_weights(axis: Axis, settings: Resampling) -> Taps | None:
    """The taps of an axis, or None if it stays as it is."""
    place = _coordinates(axis, settings.coordinates)
    if axis.size == axis.length and np.array_equal(place, np.arange(axis.length)):
        return None
    outside = np.zeros(axis.length, np.bool_)
    if settings.coordinates == "tf_crop_and_resize":
        outside = (place < 0) | (place > axis.size - 1)
    if settings.mode == "nearest":
        return Taps(np.clip(_nearest(place, settings.nearest), 0, axis.size - 1)[:, None], None, outside)
    places, weights = _filtered(place, axis, settings)
    if settings.exclude_outside:
        weights = np.where((places < 0) | (places >= axis.size), 0, weights)
        weights /= weights.sum(axis=1, keepdims=True)
    return Taps(np.clip(places, 0, axis.size - 1), weights, outside)


def _coordinates(axis: Axis, mode: str) -> Array:
    """The input coordinate of each output."""
    output = np.arange(axis.length, dtype=np.float64)
    exact = axis.scale * axis.size
    if mode == "asymmetric":
        return output / axis.scale
    if mode == "align_corners":
        return output * (axis.size - 1) / (exact - 1) if exact != 1 else np.zeros(axis.length)
    if mode == "tf_crop_and_resize":
        return _cropped(axis, output)
    place = (output + 0.5) / axis.scale - 0.5
    if mode == "half_pixel_symmetric":
        return place + axis.size / 2 * (1 - axis.length / exact)
    return np.zeros(1) if mode == "pytorch_half_pixel" and axis.length == 1 else place


def _cropped(axis: Axis, output: Array) -> Array:
    """Evenly spaced coordinates from one end of the region to the other, its middle for a single one."""
    start, end = (bound * (axis.size - 1) for bound in axis.region)
    if axis.length == 1:
        return np.array([0.5 * (start + end)])
    return np.asarray(start + output * (end - start) / (axis.length - 1))


def _nearest(place: Array, mode: str) -> Array:
    if mode == "floor":
        return np.floor(place).astype(np.int64)
    if mode == "ceil":
        return np.ceil(place).astype(np.int64)
    if mode == "round_prefer_ceil":
        return np.floor(place + 0.5).astype(np.int64)
    return np.ceil(place - 0.5).astype(np.int64)


def _filtered(place: Array, axis: Axis, settings: Resampling) -> tuple[Array, Array]:
    """Input places, which may lie outside, and weights of the linear or cubic filter around each coordinate."""
    stretch = min(axis.scale, 1.0) if settings.antialias else 1.0
    radius = 1.0 if settings.mode == "linear" else 2.0
    reach = math.ceil(radius / stretch)
    first = np.floor(place).astype(np.int64) - reach + 1
    places = first[:, None] + np.arange(2 * reach)
    distance = np.abs(places - place[:, None]) * stretch
    weights = _triangle(distance) if settings.mode == "linear" else _cubic(distance, settings.cubic_a)
    if settings.antialias:
        weights = weights / weights.sum(axis=1, keepdims=True)
    return places, weights


def _triangle(distance: Array) -> Array:
    return np.maximum(0.0, 1.0 - distance)


def _cubic(distance: Array, a: float) -> Array:
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))  # noqa: PLR2004 - the support
