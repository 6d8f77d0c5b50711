"""What the machine can do at most: multiply-adds in registers, and bytes read from memory.

The roofline of Williams, Waterman and Patterson, "Roofline: An Insightful Visual Performance Model" (CACM 2009): a
kernel takes at least the time of its operations and at least that of its bytes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import tvm

from graphprune.backends.targets import Target
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
from graphprune.backends.tvm.session import use_threads
from graphprune.backends.tvm.view import Handle

SUMS = 12
"""Vector sums under way: enough to hide the latency of a multiply-add."""

STEPS = 1 << 18
"""Multiply-adds of each sum."""

BYTES_A_CACHE = 8
"""How many times the size of the last cache is read: far more than stays in it."""

RUNS = 7


@dataclass(frozen=True)
class Roofline:
    """Peaks of so many threads.

    Attributes:
        gflops: Floating-point operations, two a multiply-add, 10^9 a second.
        gbytes: Bytes read from memory, 10^9 a second.
    """

    gflops: float
    gbytes: float

    def least_seconds(self, operations: float, nbytes: float) -> float:
        """The time below which nothing of so many operations and bytes from memory can be."""
        return max(operations / self.gflops, nbytes / self.gbytes) / 1e9


def measure_roofline(target: Target, threads: int) -> Roofline:
    """Measure the peaks of this machine, which must be able to run the target's code: the best of several runs."""
    use_threads(threads)
    width = target.vector_lanes
    floats = BYTES_A_CACHE * target.l3_bytes // 4 // (threads * SUMS * width) * threads * SUMS * width
    operations = 2.0 * threads * STEPS * SUMS * width
    fastest = _seconds(target, _compute(width, threads), threads * SUMS * width)
    reading = _seconds(target, _read(width, threads, floats), floats)
    return Roofline(operations / fastest / 1e9, 4 * floats / reading / 1e9)


def _seconds(target: Target, function: Handle, size: int) -> float:
    module = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
    main = tvm.compile(module, target=tvm.target.Target({"kind": "llvm", "mcpu": target.mcpu}))["main"]
    tensors = [tvm.runtime.tensor(np.full(n, 0.5, np.float32)) for n in (size, int(function.params[1].shape[0]))]
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        main(*tensors)
        times.append(time.perf_counter() - start)
    return min(times)


def _compute(width: int, threads: int) -> Handle:
    """The TIR function (x, y): every sum is multiplied and added to, `STEPS` times."""

    def multiply_add(total: Expr, i: Expr) -> None:
        store(total, i, total[i] * total[i] + total[i])

    def body(kernel: Kernel) -> None:
        with loop(threads, parallel=threads > 1) as thread:
            sums = _sums(kernel, width, thread)
            with loop(STEPS):
                for total in sums:
                    unrolled_lanes(width, width, partial(multiply_add, total))
            _keep(kernel, width, thread, sums)

    size = threads * SUMS * width
    return build_function("compute", [Flat("x", size, "float32"), Flat("y", size, "float32")], body)


def _read(width: int, threads: int, floats: int) -> Handle:
    """The TIR function (x, y): the sums of a large buffer, which each thread reads a part of."""
    part, step = floats // threads, SUMS * width

    def add(x: Expr, at: Expr, total: Expr, i: Expr) -> None:
        store(total, i, total[i] + x[at + i])

    def body(kernel: Kernel) -> None:
        with loop(threads, parallel=threads > 1) as thread:
            sums = _sums(kernel, width, thread)
            with loop(part // step) as number:
                at = bind(thread * part + number * step)
                for j, total in enumerate(sums):
                    unrolled_lanes(width, width, partial(add, kernel["x"], at + j * width, total))
            _keep(kernel, width, thread, sums)

    return build_function("read", [Flat("x", floats, "float32"), Flat("y", threads * step, "float32")], body)


def _sums(kernel: Kernel, width: int, thread: Expr) -> list[Expr]:
    """Vector sums that start from the input, so that nothing is known of them."""
    sums = [registers(width) for _ in range(SUMS)]

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
