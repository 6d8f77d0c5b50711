"""Recipes of row kernels: softmax, normalisations and reductions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx

from graphprune.backends.tvm.kernels import math
from graphprune.backends.tvm.kernels.builder import Expr, bind, constant, registers, store, unrolled_lanes
from graphprune.backends.tvm.kernels.rows import Lane, Place, RowBlock, Value

Scale = Callable[[RowBlock, Place], Expr]


def _add(a: Expr, b: Expr) -> Expr:
    return a + b


def _per_row(block: RowBlock, value: Lane) -> Lane:
    """Compute a value of each row once."""
    dtype, width = block.problem.x.dtype, block.problem.machine.lanes
    kept = registers(-(-block.rows // width) * width, dtype)
    unrolled_lanes(block.rows, width, lambda i: store(kept, i, value(i)))
    return (lambda lane: kept[lane]) if block.lane_axis is not None else (lambda _lane: kept[0])


def softmax(block: RowBlock) -> None:
    """exp(x - max) over its sum; the maximum keeps exp from overflowing."""
    dtype = block.problem.x.dtype
    top = block.fold(float("-inf"), tirx.max, lambda x, _lane, _place: x)
    kept = block.kept()
    total = block.fold(0.0, _add, _exponential(top), kept)
    inverse = _per_row(block, lambda lane: constant(1.0, dtype) / total(lane))
    block.write(lambda e, lane, _place: e * inverse(lane), kept)


def _exponential(top: Lane) -> Value:
    return lambda x, lane, _place: math.exp(x - top(lane))


def log_softmax(block: RowBlock) -> None:
    """(x - max) - log of the sum of exp(x - max): the log added to a large max would lose its digits."""
    top = block.fold(float("-inf"), tirx.max, lambda x, _lane, _place: x)
    total = block.fold(0.0, _add, _exponential(top))
    rest = _per_row(block, lambda lane: math.log(total(lane)))
    block.write(lambda x, lane, _place: bind(x - top(lane)) - rest(lane))


@dataclass(frozen=True)
class Normalize:
    """(x - mean) / sqrt(variance + epsilon) * scale + shift, the variance in a second pass over the row.

    Without `centered` the mean is taken as 0 (RMS normalisation). `scale` and `shift` load a factor by place.

    The rounding of a long sum grows with the mean, so the second pass sums the distances too: their mean is what the
    first mean lacks (the corrected two-pass algorithm of Chan, Golub and LeVeque, "Algorithms for computing the sample
    variance", 1983).
    """

    epsilon: float
    scale: Scale | None
    shift: Scale | None
    centered: bool = True

    def __call__(self, block: RowBlock) -> None:
        """Emit the code of one block."""
        dtype = block.problem.x.dtype
        share, one = constant(1.0 / block.problem.row_length, dtype), constant(1.0, dtype)
        mean = self._mean(block, share)

        def distance(x: Expr, lane: Expr, _place: Place) -> Expr:
            return bind(x - mean(lane)) if self.centered else x

        def squared(x: Expr, lane: Expr, place: Place) -> Expr:
            far = distance(x, lane, place)
            return far * far

        lacking: Lane | None = None
        if self.centered:
            total, squares = block.fold_two(0.0, _add, distance, squared)
            lacking = _per_row(block, lambda lane: total(lane) * share)
        else:
            squares = block.fold(0.0, _add, squared)

        def variance(lane: Expr) -> Expr:
            spread = squares(lane) * share
            return spread - lacking(lane) * lacking(lane) if lacking else spread

        epsilon = constant(self.epsilon, dtype)
        factor = _per_row(block, lambda lane: one / tirx.sqrt(variance(lane) + epsilon))

        def result(x: Expr, lane: Expr, place: Place) -> Expr:
            far = distance(x, lane, place)
            value = (far - lacking(lane) if lacking else far) * factor(lane)
            if self.scale:
                value = value * self.scale(block, place)
            return value + self.shift(block, place) if self.shift else value

        block.write(result)

    def _mean(self, block: RowBlock, share: Expr) -> Lane:
        if not self.centered:
            return lambda _lane: constant(0.0, block.problem.x.dtype)
        total = block.fold(0.0, _add, lambda x, _lane, _place: x)
        return _per_row(block, lambda lane: total(lane) * share)


@dataclass(frozen=True)
class Reduction:
    """Fold `element(x)` with `combine` from `initial`, then `finish(total, row length)`."""

    initial: float
    combine: Callable[[Expr, Expr], Expr]
    element: Callable[[Expr], Expr] = lambda x: x
    finish: Callable[[Expr, int], Expr] = lambda total, _length: total

    def __call__(self, block: RowBlock) -> None:
        """Emit the code of one block."""
        total = block.fold(self.initial, self.combine, lambda x, _lane, _place: self.element(x))
        block.write_rows(lambda lane: self.finish(total(lane), block.problem.row_length))


def log_sum_exp(block: RowBlock) -> None:
    """Max + log of the sum of exp(x - max); -inf for a row of -inf."""
    dtype = block.problem.x.dtype
    top = block.fold(float("-inf"), tirx.max, lambda x, _lane, _place: x)
    finite = _per_row(block, lambda lane: tirx.Select(tirx.isfinite(top(lane)), top(lane), constant(0.0, dtype)))
    total = block.fold(0.0, _add, _exponential(finite))
    block.write_rows(lambda lane: finite(lane) + math.log(total(lane)))
