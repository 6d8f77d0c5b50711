"""The peak of the machine: multiply-adds in registers, and bytes read from each cache and from memory.

The roofline of Williams, Waterman and Patterson, "Roofline: An Insightful Visual Performance Model" (CACM 2009), with
a roof for each cache, as Ilic, Pratas and Sousa, "Cache-aware Roofline model" (2014): a kernel takes at least the time
of its operations, and at least that of its bytes from where they all fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from graphprune.backends.tvm.building.measurements import Measurements
from graphprune.backends.tvm.building.trial import compile_kernel
from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Flat,
    Kernel,
    bind,
    build_function,
    loop,
    registers,
    store,
    unrolled_lanes,
)
from graphprune.backends.tvm.kernels.dot import SMALL_QUADS, integers_of, multiply_and_add
from graphprune.backends.tvm.kernels.elements import FLOAT32, OF_BYTES, Elements
from graphprune.backends.tvm.kernels.view import Handle
from graphprune.targets.target import TARGETS, Target

SUMS = 12
"""Independent vector sums: enough to hide the latency of a multiply-add."""

STEPS = 1 << 18
"""Multiply-adds of each sum."""

TIMES_CACHE = 8
"""How many times the size of the last cache is read to read from memory: far more than stays in it."""

SHARE_OF_CACHE = 0.5
"""How much of a cache is read to read from it: it holds other things too."""

LEAST_READ = 1 << 26
"""Bytes to read in a run at least; small buffers are read repeatedly."""

SECONDS = 0.3
"""How long to go on running: other work on the machine must not be taken for its peak."""


@dataclass(frozen=True)
class Level:
    """A cache, or memory: it holds `capacity` bytes, of which `gbytes` 10^9 can be read a second."""

    capacity: float
    gbytes: float


@dataclass(frozen=True)
class Roofline:
    """Peaks of so many threads.

    Attributes:
        gflops: Floating-point operations, two a multiply-add, 10^9 a second.
        gops: The same of bytes that are summed exactly, by the instructions of the target.
        levels: Second cache, last cache and memory, whose capacity is infinite.
    """

    gflops: float
    gops: float
    levels: tuple[Level, ...]

    @property
    def memory(self) -> Level:
        """The level that holds everything."""
        return self.levels[-1]

    def level(self, nbytes: float) -> Level:
        """The nearest level that holds so many bytes."""
        return next(level for level in self.levels if nbytes <= level.capacity)

    def peak(self, kernel: str) -> float:
        """10^9 operations a second of a kernel of this name."""
        return self.gops if kernel.endswith(OF_BYTES) else self.gflops

    def least_seconds(self, kernel: str, operations: float, nbytes: float, level: Level) -> float:
        """The time below which no kernel of this name, of so many operations and bytes from this level, can be."""
        return max(operations / self.peak(kernel), nbytes / level.gbytes) / 1e9


def measure_roofline(target: Target, threads: int) -> Roofline:
    """The peaks of this machine, which must be able to run the target's code.

    The best that was ever measured is remembered in the user's cache folder.
    """
    measurements = Measurements(target, threads)
    words = integers_of(TARGETS[target.level].features)
    gflops, *gops = (_measure_peak(measurements, elements) for elements in (FLOAT32, words, SMALL_QUADS))
    caches = (threads * target.l2_bytes, target.l3_bytes)
    levels = [_measure_level(measurements, capacity, SHARE_OF_CACHE * capacity) for capacity in caches]
    memory = _measure_level(measurements, math.inf, TIMES_CACHE * target.l3_bytes)
    return Roofline(gflops, max(gops), (*levels, memory))


def _measure_peak(measurements: Measurements, elements: Elements) -> float:
    """10^9 operations a second of multiply-adds of these elements in registers."""
    threads, width = measurements.threads, measurements.target.vector_lanes
    operations = 2.0 * threads * STEPS * SUMS * width * elements.channels
    name = f"roofline: {STEPS} multiply-adds of {elements.dot or 'floats'}"
    seconds = measurements.least_seconds(name, lambda: _run(measurements, _compute(width, threads, elements)))
    return operations / seconds / 1e9


def _measure_level(measurements: Measurements, capacity: float, nbytes: float) -> Level:
    """Read a buffer of so many bytes."""
    threads, width = measurements.threads, measurements.target.vector_lanes
    step = threads * SUMS * width
    floats = max(1, int(nbytes) // 4 // step) * step
    repeats = max(1, LEAST_READ // (4 * floats))
    seconds = measurements.least_seconds(
        f"roofline: {repeats} times {floats} floats",
        lambda: _run(measurements, _read(width, threads, floats, repeats)),
    )
    return Level(capacity, 4 * floats * repeats / seconds / 1e9)


def _run(measurements: Measurements, function: Handle) -> float:
    times: list[float] = []
    with compile_kernel(function, measurements.target, measurements.threads) as session:
        feed = {info.name: np.full(info.static_shape, 0.5).astype(info.dtype) for info in session.get_inputs()}
        while sum(times) < SECONDS:
            times += (seconds for (seconds,) in session.time_kernels(feed, 1))
    return min(times)


def _compute(width: int, threads: int, elements: Elements) -> Handle:
    """The TIR function (x, y): every sum is multiplied and added to, `STEPS` times."""

    def multiply_add(total: Expr, i: Expr) -> None:
        store(total, i, multiply_and_add(elements, total[i], total[i], total[i]))

    def body(kernel: Kernel) -> None:
        with loop(threads, parallel=threads > 1) as thread:
            sums = _sums(kernel, width, thread, elements.sums)
            with loop(STEPS):
                for total in sums:
                    unrolled_lanes(width, width, partial(multiply_add, total))
            _keep(kernel, width, thread, sums)

    size = threads * SUMS * width
    return build_function("compute", [Flat("x", size, elements.inputs), Flat("y", size, elements.sums)], body)


def _read(width: int, threads: int, floats: int, repeats: int) -> Handle:
    """The TIR function (x, y): the sums of a buffer, which each thread reads a part of, several times."""
    part, step = floats // threads, SUMS * width

    def add(x: Expr, at: Expr, total: Expr, i: Expr) -> None:
        store(total, i, total[i] + x[at + i])

    def body(kernel: Kernel) -> None:
        with loop(threads, parallel=threads > 1) as thread:
            sums = _sums(kernel, width, thread)
            with loop(repeats), loop(part // step) as number:
                at = bind(thread * part + number * step)
                for j, total in enumerate(sums):
                    unrolled_lanes(width, width, partial(add, kernel["x"], at + j * width, total))
            _keep(kernel, width, thread, sums)

    return build_function("read", [Flat("x", floats, "float32"), Flat("y", threads * step, "float32")], body)


def _sums(kernel: Kernel, width: int, thread: Expr, dtype: str = "float32") -> list[Expr]:
    """Vector sums that start from the input, so that nothing is known of them."""
    sums = [registers(width, dtype) for _ in range(SUMS)]

    def start(j: int, total: Expr, i: Expr) -> None:
        store(total, i, kernel["x"][(thread * SUMS + j) * width + i])

    for j, total in enumerate(sums):
        unrolled_lanes(width, width, partial(start, j, total))
    return sums


def _keep(kernel: Kernel, width: int, thread: Expr, sums: list[Expr]) -> None:
    def keep(j: int, total: Expr, i: Expr) -> None:
        store(kernel["y"], (thread * SUMS + j) * width + i, total[i])

    for j, total in enumerate(sums):
        unrolled_lanes(width, width, partial(keep, j, total))
