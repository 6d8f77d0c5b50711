"""Whole models: ONNX Runtime on the dense file beside graphprune on the dense and on the pruned file.

    python benchmarks/models.py [MODEL ...] [--sparsity 0.9] [--threads 1] [--runs 30] [--json OUT.json]

Prints, for each model, the medians of one alternating run, the ratios over ONNX Runtime, the time to compile, and the
largest error against ONNX Runtime on the same pruned file. Models are built from seeded configurations; this needs the
extras `train` and `dev`.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

import graphprune as gp
from graphprune.measuring.environment import pinned, read_environment
from graphprune.testing import models
from graphprune_runtime.interface import Session

DEFAULT = ("resnet50", "mobilenet_v1", "bert_base")


@dataclass(frozen=True)
class Compiled:
    """A session and the seconds that compiling it took."""

    session: Session
    seconds: float


def timed_compile(model: ir.Model, threads: int) -> Compiled:
    """Compile through our own backend."""
    start = time.perf_counter()
    session = gp.compile(model, target="native", threads=threads)
    return Compiled(session, time.perf_counter() - start)


def pruned(model: ir.Model, sparsity: float) -> ir.Model:
    """The model with its prunable weights at `sparsity`, each layer alike."""
    plan = gp.plan(model, gp.Recipe(sparsity=sparsity, pattern="unstructured", scope="layer"))
    return gp.Pipeline([gp.passes.PruneWeights(plan=plan)]).run(model).model


def measure(name: str, sparsity: float, threads: int, runs: int) -> dict[str, Any]:
    """One row: all sides on one input, taking turns."""
    dense = models.build(name)
    sparse = pruned(dense, sparsity)
    ours_sparse, ours_dense = timed_compile(sparse, threads), timed_compile(dense, threads)
    with pinned(threads):
        reference = gp.compile(dense, backend="onnxruntime", threads=threads)
    verified = gp.verify(sparse, ours_sparse.session)
    sides = {"graphprune_sparse": ours_sparse.session, "graphprune_dense": ours_dense.session, "onnxruntime": reference}
    report = gp.bench(sides, models.random_feed(dense, 0), threads=threads, runs=runs, baseline="onnxruntime")
    medians = {timing.label: timing.median_ms for timing in report.timings}
    ratios = {timing.label: timing.speedup for timing in report.timings}
    return {
        "model": name,
        "sparsity": sparsity,
        "threads": threads,
        "median_ms": medians,
        "speedup": ratios,
        "compile_seconds": ours_sparse.seconds,
        "equal": verified.passed,
        "max_absolute_error": max(output.difference.max_abs_error for output in verified.outputs),
    }


def row_text(row: dict[str, Any]) -> str:
    """A row of the Markdown table."""
    ms, ratio = row["median_ms"], row["speedup"]
    return (
        f"| {row['model']} | {ms['onnxruntime']:.1f} | {ms['graphprune_dense']:.1f} | {ratio['graphprune_dense']:.2f}x "
        f"| {ms['graphprune_sparse']:.1f} | {ratio['graphprune_sparse']:.2f}x | {row['compile_seconds']:.1f} "
        f"| {row['max_absolute_error']:.1e} |"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=DEFAULT, help=f"of {', '.join(models.names())}")
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--json", type=Path, help="also write the rows and the environment here")
    options = parser.parse_args()
    environment = read_environment()
    print(f"{environment.cpu}, {options.threads} thread(s), {environment.versions}, commit {environment.commit}")
    print("| model | ONNX Runtime dense, ms | ours dense, ms | ratio | ours sparse, ms | ratio | compile, s | error |")
    print("|---|---|---|---|---|---|---|---|")
    rows = []
    for name in options.models:
        rows.append(measure(name, options.sparsity, options.threads, options.runs))
        print(row_text(rows[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"environment": vars(environment), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
