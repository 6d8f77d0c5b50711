"""Where Resize reads, and with which weights: the coordinate rules of ONNX, one axis at a time, in NumPy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_SINGLE = np.float32
_HALF_TOLERANCE = 1e-6  # of ONNX Runtime (seen on 1.32)

CROP = "tf_crop_and_resize"
"""The coordinates that a region of interest decides; the others have no use for one."""

COORDINATES = frozenset(
    {
        *("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel"),
        *("align_corners", "asymmetric", "tf_crop_and_resize"),
    }
)
"""The rules of Resize that say which input coordinate an output reads."""


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
    """The taps of an axis, or None if it stays as it is: ONNX Runtime leaves one of scale 1 alone, region or not."""
    place = _coordinates(axis, settings.coordinates)
    if axis.scale == 1 or np.array_equal(place, np.arange(axis.size)):
        return None
    outside = np.zeros(axis.length, np.bool_)
    if settings.coordinates == CROP:
        outside = (place < 0) | (place > axis.size - 1)
    if settings.mode == "nearest":
        return Taps(np.clip(_nearest(place, settings.nearest), 0, axis.size - 1)[:, None], None, outside)
    places, weights = _filtered(place, axis, settings)
    if settings.exclude_outside:
        weights = np.where((places < 0) | (places >= axis.size), 0, weights)
        weights /= weights.sum(axis=1, keepdims=True)
    return Taps(np.clip(places, 0, axis.size - 1), weights, outside)


def _coordinates(axis: Axis, mode: str) -> Array:
    """The input coordinate of each output, in float32 and in the order of operations of ONNX Runtime.

    A coordinate between two elements decides which of them is the nearest, so rounding is part of the function.
    """
    output, half = np.arange(axis.length, dtype=_SINGLE), _SINGLE(0.5)
    size, length, scale = _SINGLE(axis.size), _SINGLE(axis.length), _SINGLE(axis.scale)
    if mode == "asymmetric":
        return output / scale
    if mode == "align_corners":
        return output * (size - 1) / (length - 1) if axis.length != 1 else np.zeros(1, _SINGLE)
    if mode == CROP:
        return _cropped(axis, output)
    if mode == "half_pixel_symmetric":
        offset = size / 2 * (1 - length / (scale * size))
        return (np.float64(offset) + (output.astype(np.float64) + 0.5) / scale - 0.5).astype(_SINGLE)
    place = (output + half) / scale - half
    return np.zeros(1, _SINGLE) if mode == "pytorch_half_pixel" and axis.length == 1 else place


def _cropped(axis: Axis, output: Array) -> Array:
    """Evenly spaced coordinates from one end of the region to the other, its middle for a single one."""
    last = _SINGLE(axis.size - 1)
    start, end = (_SINGLE(bound) for bound in axis.region)
    if axis.length == 1:
        return np.array([_SINGLE(0.5) * (start + end) * last])
    return np.asarray(start * last + output * (end - start) * last / _SINGLE(axis.length - 1))


def _nearest(place: Array, mode: str) -> Array:
    """The element that stands for each coordinate; halves are those that rounding may have made of a half."""
    low = np.floor(place.astype(np.float64))
    if mode == "floor":
        return low.astype(np.int64)
    if mode == "ceil":
        return np.ceil(place).astype(np.int64)
    part = place - low
    is_half = np.abs(part - 0.5) < _HALF_TOLERANCE
    goes_up = np.where(is_half, mode == "round_prefer_ceil", part > 0.5)  # noqa: PLR2004 - a half
    return np.asarray(low + goes_up).astype(np.int64)


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
