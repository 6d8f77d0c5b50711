"""One axis of a tensor resampled: each output a weighted sum of a few inputs, at places that are constants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Flat,
    Kernel,
    Machine,
    bind,
    build_function,
    lanes,
    loop,
    store,
)
from graphprune.backends.tvm.kernels.view import View

TOGETHER = 8
"""Taps that are summed in registers."""


@dataclass(frozen=True)
class Taps:
    """`count` taps from number `first` on."""

    first: Expr
    count: int
    is_first: bool = False


def resample_function(machine: Machine, x: View, length: int, taps: int) -> Expr:
    """The TIR function (x, places, weights, y) of a float32 view `x` [outer, size, inner].

    `y` is [outer, length, inner], row-major: `y[o, i]` is the sum over `t` of `weights[t, i] * x[o, places[t, i]]`.
    Both tables are [taps][length].
    """
    outer, _, inner = x.shape
    emit = _along if inner == 1 else _across

    def body(kernel: Kernel) -> None:
        with loop(outer, parallel=machine.threads > 1) as number:
            source, target = bind(x.offset + number * x.strides[0]), bind(number * (length * inner))
            emit(machine, kernel, x, length, Taps(0, min(TOGETHER, taps), is_first=True), source, target)
            if taps >= 2 * TOGETHER:
                with loop(taps // TOGETHER - 1) as others:
                    first = bind((others + 1) * TOGETHER)
                    emit(machine, kernel, x, length, Taps(first, TOGETHER), source, target)
            if taps > TOGETHER and taps % TOGETHER:
                rest = taps % TOGETHER
                emit(machine, kernel, x, length, Taps(taps - rest, rest), source, target)

    tables = [Flat("places", taps * length, "int32"), Flat("weights", taps * length, "float32")]
    return build_function(
        "resample", [Flat("x", x.size, x.dtype), *tables, Flat("y", outer * length * inner, x.dtype)], body
    )


def _along(machine: Machine, kernel: Kernel, x: View, length: int, taps: Taps, source: Expr, target: Expr) -> None:
    """The axis is the last one: vectors of outputs gather their inputs."""

    def element(i: Expr) -> None:
        def part(tap: int) -> Expr:
            at = (taps.first + tap) * length + i
            return kernel["x"][source + kernel["places"][at] * x.strides[1]] * kernel["weights"][at]

        _add(kernel, taps, target + i, part)

    lanes(length, machine.lanes, element)


def _across(machine: Machine, kernel: Kernel, x: View, length: int, taps: Taps, source: Expr, target: Expr) -> None:
    """Vectors of neighbours that are resampled alike."""
    inner = x.shape[2]
    with loop(length) as i:
        rows = [bind((taps.first + tap) * length + i) for tap in range(taps.count)]
        starts = [bind(source + kernel["places"][row] * x.strides[1]) for row in rows]
        factors = [bind(kernel["weights"][row]) for row in rows]
        row = bind(target + i * inner)

        def element(lane: Expr) -> None:
            def part(tap: int) -> Expr:
                return kernel["x"][starts[tap] + lane * x.strides[2]] * factors[tap]

            _add(kernel, taps, row + lane, part)

        lanes(inner, machine.lanes, element)


def _add(kernel: Kernel, taps: Taps, place: Expr, part: Callable[[int], Expr]) -> None:
    """Store the sum of the parts, added to those of the taps before."""
    total = None if taps.is_first else kernel["y"][place]
    for tap in range(taps.count):
        total = part(tap) if total is None else total + part(tap)
    store(kernel["y"], place, total)
