"""What taking channels out costs, and what it gains in ONNX Runtime.

    python -m benchmarks.fold_speed [MODEL ...] [--sparsity 0.5] [--threads 1] [--runs 30]

Prints the seconds of plan, pruning and folding together (median of three), and the medians of one alternating run of
the dense and of the folded model in ONNX Runtime with all its optimisations.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time

import onnx_ir as ir

import graphprune as gp
from graphprune.measuring.environment import pinned, read_environment
from graphprune.passes import FoldChannels, PruneChannels
from graphprune.passes.base import run_pass
from graphprune.testing import models

DEFAULT = ("resnet50", "mobilenet_v1", "bert_base")


def folded(model: ir.Model, sparsity: float) -> ir.Model:
    """The model without the weakest channels of each group."""
    plan = gp.plan(model, gp.Recipe(sparsity=sparsity, pattern="channel"))
    return run_pass(FoldChannels(), run_pass(PruneChannels(plan), model).model).model


def measure(name: str, sparsity: float, threads: int, runs: int) -> str:
    """One row of the Markdown table."""
    dense, seconds = models.build(name), []
    for _ in range(3):
        start = time.perf_counter()
        small = folded(dense, sparsity)
        seconds.append(time.perf_counter() - start)
    with pinned(threads):
        sides = {
            "dense": gp.compile(dense, backend="onnxruntime", threads=threads),
            "folded": gp.compile(small, backend="onnxruntime", threads=threads),
        }
    report = gp.bench(sides, models.random_feed(dense, 0), threads=threads, runs=runs, baseline="dense")
    ms = {timing.label: timing.median_ms for timing in report.timings}
    ratio = {timing.label: timing.speedup for timing in report.timings}["folded"]
    return f"| {name} | {statistics.median(seconds):.2f} | {ms['dense']:.1f} | {ms['folded']:.1f} | {ratio:.2f}x |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=DEFAULT, help=f"of {', '.join(models.names())}")
    parser.add_argument("--sparsity", type=float, default=0.5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=30)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    environment = read_environment()
    print(f"{environment.cpu}, {options.threads} thread(s), {environment.versions}, commit {environment.commit}")
    print("| model | plan, prune, fold, s | ONNX Runtime dense, ms | folded, ms | ratio |")
    print("|---|---|---|---|---|")
    for name in options.models:
        print(measure(name, options.sparsity, options.threads, options.runs), flush=True)


if __name__ == "__main__":
    main()
