"""GridSample with linear interpolation, over two or three axes.

Where a position of the grid lies is the same for all channels: for a run of positions, the places of the corners around
each and their weights are computed once, in vectors, and every channel is then a weighted sum of gathered elements.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from tvm import tirx

from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Flat,
    Kernel,
    Machine,
    bind,
    build_function,
    constant,
    lanes,
    loop,
    scratch,
    store,
)
from graphprune.backends.tvm.kernels.opaque import opaque, rounded
from graphprune.backends.tvm.kernels.view import View

RUN = 256
"""Positions whose corners are kept: few enough for the first-level cache, with eight corners too."""

NOWHERE = -1
"""The place of a corner outside the image."""


@dataclass(frozen=True)
class _End:
    """One of the two neighbours of a coordinate along an axis: its index there, its weight, whether it is inside."""

    index: Expr
    weight: Expr
    inside: Expr


@dataclass(frozen=True)
class _Sampling:
    """What is sampled where, and the kept corners of one run of positions."""

    machine: Machine
    x: View
    grid: View
    align_corners: bool
    repeats_border: bool

    @property
    def corners(self) -> int:
        """Corners around a position."""
        return int(2 ** len(self.x.shape[2:]))

    def emit(self, kernel: Kernel) -> None:
        """Emit all runs of all images."""
        places, weights = scratch(self.corners * RUN, "int32"), scratch(self.corners * RUN)
        whole, rest = divmod(self.grid.shape[1], RUN)

        def run(image: Expr, first: Expr, count: int) -> None:
            lanes(count, self.machine.lanes, lambda i: self._locate(kernel, places, weights, image, first, i))
            with loop(self.x.shape[1]) as channel:
                source = bind(self.x.offset + image * self.x.strides[0] + channel * self.x.strides[1])
                target = bind((image * self.x.shape[1] + channel) * self.grid.shape[1] + first)

                def element(i: Expr) -> None:
                    store(kernel["y"], target + i, self._interpolated(kernel, places, weights, source, i))

                lanes(count, self.machine.lanes, element)

        with loop(self.grid.shape[0], parallel=self.machine.threads > 1) as image:
            if whole:
                with loop(whole) as number:
                    run(image, bind(number * RUN), RUN)
            if rest:
                run(image, whole * RUN, rest)

    def _locate(self, kernel: Kernel, places: Expr, weights: Expr, image: Expr, first: Expr, i: Expr) -> None:
        """Keep the corners around one position."""
        grid, size = self.grid, self.x.shape[2:]
        start = grid.offset + image * grid.strides[0] + (first + i) * grid.strides[1]
        given = [kernel["grid"][start + axis * grid.strides[2]] for axis in reversed(range(len(size)))]
        ends = [self._ends(value, extent) for value, extent in zip(given, size, strict=True)]
        for number, corner in enumerate(itertools.product(*ends)):
            place = sum((end.index * step for end, step in zip(corner, self.x.strides[2:], strict=True)), start=0)
            inside = tirx.all(*(end.inside for end in corner))
            kept = place if self.repeats_border else tirx.Select(inside, place, constant(NOWHERE, "int32"))
            store(places, number * RUN + i, kept)
            store(weights, number * RUN + i, math.prod((end.weight for end in corner[1:]), start=corner[0].weight))

    def _ends(self, given: Expr, size: int) -> tuple[_End, _End]:
        """The neighbours below and above a coordinate of the grid."""
        zero, half, one, last = (constant(value, "float32") for value in (0, 0.5, 1, size - 1))
        scaled = rounded(opaque((given + one) * (last if self.align_corners else constant(size, "float32"))))
        at = bind((scaled if self.align_corners else scaled - one) * half)
        if self.repeats_border:
            at = bind(tirx.min(tirx.max(at, zero), last))
        low = bind(tirx.floor(at))
        high = bind(low + one)
        return _end(low, bind(high - at), size), _end(high, bind(at - low), size)

    def _interpolated(self, kernel: Kernel, places: Expr, weights: Expr, source: Expr, i: Expr) -> Expr:
        """The weighted sum of the corners around one position."""
        total: Expr = None
        for number in range(self.corners):
            place = places[number * RUN + i]
            if self.repeats_border:
                element = kernel["x"][source + place]
            else:  # a zero, not something times a weight of zero
                inner = kernel["x"][source + tirx.max(place, constant(0, "int32"))]
                element = tirx.Select(place >= 0, inner, constant(0, "float32"))
            part = element * weights[number * RUN + i]
            total = part if total is None else total + part
        return total


def grid_sample_function(machine: Machine, x: View, grid: View, *, align_corners: bool, repeats_border: bool) -> Expr:
    """The TIR function (x, grid, y) of float32 views `x` [image, channel, size...] and `grid` [image, position, axis].

    `y` is [image][channel][position]. The grid's axes go from the last of the sizes to the first, and its coordinates
    from -1 to 1: over the centers of the outer elements if `align_corners`, else over their outer edges. Beyond them
    lie zeros, or the nearest element if `repeats_border`.
    """
    sampling = _Sampling(machine, x, grid, align_corners, repeats_border)
    size = grid.shape[0] * x.shape[1] * grid.shape[1]
    arguments = [Flat("x", x.size, x.dtype), Flat("grid", grid.size, grid.dtype), Flat("y", size, x.dtype)]
    return build_function("gridsample", arguments, sampling.emit)


def _end(at: Expr, weight: Expr, size: int) -> _End:
    inside = tirx.all(at >= constant(0, "float32"), at <= constant(size - 1, "float32"))
    index = tirx.max(tirx.min(at.astype("int32"), constant(size - 1, "int32")), constant(0, "int32"))
    return _End(bind(index), weight, inside)
