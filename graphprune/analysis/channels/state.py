"""What is known of a value: the unknown that each element depends on, and the element's value when that is masked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
Extents = tuple[int | None, ...]
"""A shape; None for an open dimension."""

UNKNOWN = float("nan")


@dataclass(frozen=True)
class Factor:
    """The channels along some axes of a value.

    Attributes:
        labels: The unknown that each element belongs to, of the value's rank; extent 1 on axes that it does not
            depend on.
        at: What the element is once that unknown is masked, of the same shape; NaN where that is not known.
        blame: The node that first made it something else than zero.
    """

    labels: IntArray
    at: FloatArray
    blame: ir.Node | None = None

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes that it depends on."""
        return tuple(axis for axis, extent in enumerate(self.labels.shape) if extent > 1)

    def map(self, move: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Factor:
        """Move elements: `move` is applied to the labels and to what they are."""
        return replace(self, labels=move(self.labels), at=move(self.at))

    def becomes(self, at: FloatArray | float, node: ir.Node) -> Factor:
        """Return the same channels with other masked values, which `node` makes."""
        values = np.broadcast_to(np.asarray(at, np.float64), self.labels.shape)
        values = np.where(np.isfinite(values), values, UNKNOWN)
        return replace(self, at=values, blame=None if not values.any() else self.blame or node)

    def simplified(self) -> Factor:
        """Drop the axes along which nothing changes."""
        found = self
        for axis in found.axes:
            labels, at = found.labels.take([0], axis), found.at.take([0], axis)
            if (labels == found.labels).all() and np.array_equal(np.broadcast_to(at, found.at.shape), found.at, True):  # noqa: FBT003
                found = replace(found, labels=labels, at=at)
        return found


@dataclass(frozen=True)
class State:
    """A value.

    Attributes:
        extents: Its shape.
        factors: Its channels; no two depend on the same axis.
        is_constant: Whether it follows from constants alone.
        scalar: Its one element, if it is a known constant.
    """

    extents: Extents
    factors: tuple[Factor, ...] = ()
    is_constant: bool = False
    scalar: float | None = None

    def __post_init__(self) -> None:
        """Check what every rule relies on."""
        axes = [axis for factor in self.factors for axis in factor.axes]
        assert len(axes) == len(set(axes)), "two factors share an axis"

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.extents)

    def aligned(self, rank: int) -> State:
        """Return it as broadcasting sees it beside a value of `rank` axes."""
        return self.placed(range(rank - self.rank, rank), rank)

    def placed(self, axes: Iterable[int], rank: int) -> State:
        """Return it in a space of `rank` axes, its axis `i` being `axes[i]` there and the others 1."""
        places = list(axes)
        order = np.argsort(places).tolist()
        missing = [axis for axis in range(rank) if axis not in places]
        extents: list[int | None] = [1] * rank
        for axis, extent in zip(places, self.extents, strict=True):
            extents[axis] = extent
        moved = tuple(each.map(lambda a: np.expand_dims(a.transpose(order), missing)) for each in self.factors)
        return replace(self, extents=tuple(extents), factors=moved)

    def with_factors(self, factors: Iterable[Factor | None]) -> State:
        """Return the value with other channels; those that are None or depend on nothing are left out."""
        return replace(self, factors=tuple(each for each in factors if each is not None and each.axes))

    def covers(self, axis: int) -> bool:
        """Whether it has channels along `axis`."""
        return any(axis in factor.axes for factor in self.factors)

    def known(self, factor: Factor) -> FloatArray:
        """What its elements are where `factor` is masked and it has no part in that: the scalar, or unknown."""
        return np.full((1,) * factor.labels.ndim, UNKNOWN if self.scalar is None else self.scalar)
