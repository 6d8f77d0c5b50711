"""Resize, and sampling images at the points of a grid."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from graphprune.analysis.resampling import CROP, Axis, Resampling, Taps, axis_weights
from graphprune.frontends.torch_operators.values import Value, integers

Numbers = torch.Tensor | tuple[float, ...]
"""Scales or a region: numbers of the file, or a tensor that is computed."""


def resize(  # noqa: PLR0913 - ONNX's attributes
    x: torch.Tensor,
    roi: Numbers | None = None,
    scales: Numbers | None = None,
    sizes: Value | None = None,
    *,
    antialias: int = 0,
    axes: Sequence[int] | None = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> torch.Tensor:
    """ONNX Resize: one axis after the other, each a few weighted elements of the input."""
    along = [axis % x.dim() for axis in (range(x.dim()) if axes is None else axes)]
    extents = [x.shape[axis] for axis in along]
    factors, lengths = _lengths(extents, _numbers(scales), sizes, keep_aspect_ratio_policy)
    is_crop = coordinate_transformation_mode == CROP
    region = (_numbers(roi) if is_crop else None) or (0.0,) * len(along) + (1.0,) * len(along)
    settings = Resampling(
        mode,
        coordinate_transformation_mode,
        nearest_mode,
        cubic_coeff_a,
        exclude_outside=bool(exclude_outside),
        antialias=bool(antialias),
    )
    outside: list[tuple[int, torch.Tensor]] = []
    for index, axis in enumerate(along):
        if factors[index] == 1 and not is_crop:  # an axis of any extent, known or not
            continue
        bounds = region[index], region[index + len(along)]
        taps = axis_weights(Axis(int(extents[index]), int(lengths[index]), factors[index], bounds), settings)
        if taps is not None:
            x = _resampled(x, axis, taps)
            outside += [(axis, torch.from_numpy(taps.outside).to(x.device))] if taps.outside.any() else []
    for axis, mask in outside:
        x = x.masked_fill(_along(mask, x, axis), extrapolation_value)
    return x


def _numbers(values: Numbers | None) -> tuple[float, ...]:
    return tuple(values.tolist()) if isinstance(values, torch.Tensor) else tuple(values or ())


def _lengths(
    extents: Sequence[int], scales: Sequence[float], sizes: Value | None, policy: str
) -> tuple[list[float], list[int]]:
    """The scale and the resulting extent of each axis."""
    if scales:
        single = np.float32  # ONNX's type for this product
        return list(scales), [
            math.floor(single(scale) * single(n)) if scale != 1 else n for n, scale in zip(extents, scales, strict=True)
        ]
    wanted = integers(() if sizes is None else sizes)
    ratios = [1.0 if want == have else want / have for want, have in zip(wanted, extents, strict=True)]
    if policy == "stretch":
        return ratios, list(wanted)
    ratio = min(ratios) if policy == "not_larger" else max(ratios)
    return [ratio] * len(extents), [math.floor(ratio * n + 0.5) for n in extents]


def _along(values: torch.Tensor, x: torch.Tensor, axis: int) -> torch.Tensor:
    """A vector as a tensor of the rank of `x` that varies along `axis`."""
    return values.reshape([-1 if a == axis else 1 for a in range(x.dim())])


def _resampled(x: torch.Tensor, axis: int, taps: Taps) -> torch.Tensor:
    places = torch.from_numpy(np.ascontiguousarray(taps.places.T)).to(x.device)
    if taps.weights is None:
        return x.index_select(axis, places[0])
    wide = x if x.dtype in {torch.float32, torch.float64} else x.float()
    weights = torch.from_numpy(np.ascontiguousarray(taps.weights.T)).to(x.device, wide.dtype)
    parts = [
        wide.index_select(axis, place) * _along(weight, x, axis)
        for place, weight in zip(places.unbind(), weights.unbind(), strict=True)
    ]
    return torch.stack(parts).sum(0).to(x.dtype)


_SAMPLING = {"linear": "bilinear", "bilinear": "bilinear", "cubic": "bicubic", "bicubic": "bicubic"}


def grid_sample(
    x: torch.Tensor, grid: torch.Tensor, *, align_corners: int = 0, mode: str = "linear", padding_mode: str = "zeros"
) -> torch.Tensor:
    """ONNX GridSample over two or three spatial axes; halves are too coarse to be places."""
    method, kind = _SAMPLING.get(mode, mode), torch.promote_types(x.dtype, torch.float32)
    sampled = functional.grid_sample(x.to(kind), grid.to(kind), method, padding_mode, bool(align_corners))
    return sampled.to(x.dtype)


def affine_grid(theta: torch.Tensor, size: Value, *, align_corners: int = 0) -> torch.Tensor:
    """ONNX AffineGrid."""
    return functional.affine_grid(theta, list(integers(size)), bool(align_corners))


TABLE: dict[str, Callable[..., Any]] = {"AffineGrid": affine_grid, "GridSample": grid_sample, "Resize": resize}
