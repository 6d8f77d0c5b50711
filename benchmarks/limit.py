"""How near to the machine's limit the sparse kernels of whole models are.

    python -m benchmarks.limit [MODEL ...] [--sparsity 0.5 0.8 0.9] [--threads 1] [--runs 20]

Each row is a model with unstructured zeros, beside ONNX Runtime on the dense one, in turns in one process. The limit is
the time of the multiply-adds by nonzeros at the peak, which is measured first, in registers; beside it stands what the
machine does where each of them loads its input from L1, as most of a sparse kernel's do.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

import graphprune as gp
from benchmarks.patterns import pruned
from benchmarks.peers.limit import limit_ms
from graphprune.backends.tvm.building.roofline import Roofline, measure_roofline
from graphprune.backends.tvm.building.trial import compile_kernel
from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Flat,
    Kernel,
    build_function,
    loop,
    registers,
    store,
    unrolled_lanes,
)
from graphprune.backends.tvm.kernels.view import Handle
from graphprune.measuring.environment import pinned, read_environment
from graphprune.targets.target import Target, resolve_target
from graphprune.testing import models
from graphprune_runtime.interface import Session
from graphprune_runtime.session import CompiledSession

DEFAULT = ("resnet50", "bert_base")
SPARSITIES = (0.5, 0.8, 0.9)

SUMS = 12
"""Independent vector sums, each of which loads a vector of its own: as many as any processor's registers hold."""

STEPS = 1 << 16
RUNS = 1000


def loading_gflops(target: Target) -> float:
    """The peak of one thread whose multiply-adds each load a vector from L1, in 10^9 operations a second."""
    with compile_kernel(_loading(target.vector_lanes), target, 1) as session:
        feed = {info.name: _aligned(info.static_shape, 4 * target.vector_lanes) for info in session.get_inputs()}
        fastest = min(seconds for (seconds,) in session.time_kernels(feed, RUNS))
    return 2.0 * STEPS * SUMS * target.vector_lanes / fastest / 1e9


def _aligned(shape: Sequence[int], nbytes: int) -> np.ndarray:
    """Halves from a multiple of so many bytes on, as the arrays of a run lie: across cache lines loads cost two."""
    whole = np.full(math.prod(shape) + nbytes, 0.5, np.float32)
    first = -whole.ctypes.data % nbytes // whole.itemsize
    return whole[first : first + math.prod(shape)].reshape(shape)


def _loading(width: int) -> Handle:
    """The TIR function (x, y): every sum adds products of its part of x, `STEPS` times."""

    def body(kernel: Kernel) -> None:
        sums = [registers(width) for _ in range(SUMS)]
        factor = registers(width)

        def load(target: Expr, first: int, i: Expr) -> None:
            store(target, i, kernel["x"][first + i])

        def add(total: Expr, first: Expr, i: Expr) -> None:
            store(total, i, total[i] + factor[i] * kernel["x"][first + i])

        def keep(total: Expr, first: int, i: Expr) -> None:
            store(kernel["y"], first + i, total[i])

        for number, target in enumerate([*sums, factor]):
            unrolled_lanes(width, width, partial(load, target, number * width))
        with loop(STEPS) as step:
            for number, total in enumerate(sums):  # from one of two places, lest the products be taken out of the loop
                unrolled_lanes(width, width, partial(add, total, (step % 2 * SUMS + number) * width))
        for number, total in enumerate(sums):
            unrolled_lanes(width, width, partial(keep, total, number * width))

    return build_function("loading", [Flat("x", 2 * SUMS * width, "float32"), Flat("y", SUMS * width, "float32")], body)


def measure(name: str, sparsity: float, threads: int, runs: int, peak: Roofline) -> str:
    """A row of the Markdown table: the least times, as other work on the machine only makes it look slower."""
    dense = models.build(name)
    model, feed = pruned(dense, f"unstructured@{sparsity}"), models.random_feed(dense, 0)
    with pinned(threads):
        base, ours = gp.compile(dense, backend="onnxruntime", threads=threads), gp.compile(model, threads=threads)
        assert isinstance(ours, CompiledSession)
        base_ms, ours_ms = 1e3 * np.min([[_seconds(each, feed) for each in (base, ours)] for _ in range(runs)], axis=0)
        kernels = np.min(ours.time_kernels(feed, runs), axis=0)
    calls = zip(ours.choose(feed)[0].calls, kernels, strict=True)
    seconds, operations = np.sum([(taken, call.operations) for call, taken in calls if call.kernel == "sparse"], axis=0)
    gflops, limit = operations / seconds / 1e9, limit_ms(model, peak)
    assert limit is not None, "the multiply-adds of these models are known"
    return (
        f"| {name} | {sparsity:.0%} | {base_ms:.1f} | {ours_ms:.1f} | {base_ms / ours_ms:.2f}x | {limit:.1f} "
        f"| {limit / ours_ms:.0%} | {1e3 * seconds:.1f} | {gflops:.0f} | {gflops / peak.gflops:.0%} |"
    )


def _seconds(session: Session, feed: Mapping[str, np.ndarray]) -> float:
    start = time.perf_counter()
    session.run(None, feed)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=DEFAULT, help=f"of {', '.join(models.names())}")
    parser.add_argument("--sparsity", nargs="+", type=float, default=SPARSITIES, help="shares of zeros")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    environment, target = read_environment(), resolve_target("native")
    with pinned(options.threads):
        peak, loading = measure_roofline(target, options.threads), options.threads * loading_gflops(target)
    print(f"{environment.cpu}, {options.threads} thread(s), {environment.versions}, commit {environment.commit}")
    print(f"peak {peak.gflops:.0f} GFLOP/s, {loading:.0f} where each multiply-add loads a vector from L1\n")
    print(
        "| model | zeros | ONNX Runtime dense, ms | ours, ms | ratio | limit, ms | share | sparse kernels, ms ", end=""
    )
    print("| GFLOP/s on nonzeros | of the peak |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in options.models:
        for sparsity in options.sparsity:
            print(measure(name, sparsity, options.threads, options.runs, peak), flush=True)


if __name__ == "__main__":
    main()
