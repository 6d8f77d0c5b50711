"""Whole models in every pattern: ONNX Runtime on the dense file beside graphprune, one alternating run a model.

    python -m benchmarks.patterns [MODEL ...] [--pattern TEXT] [--threads 1] [--runs 20]

`--pattern` may be given several times, as `1:4x4`, or with a share of zeros as `block 4x1@0.9`. Prints medians, the
ratio over ONNX Runtime, and whether the compiled model is equal to ONNX Runtime on the same pruned file.
"""

from __future__ import annotations

import argparse

import onnx_ir as ir

import graphprune as gp
from graphprune.measuring.environment import pinned, read_environment
from graphprune.passes import PackWeights, PruneWeights
from graphprune.passes.base import run_pass
from graphprune.testing import models

DEFAULT = ("resnet50", "bert_base", "vit_small")
PATTERNS = (
    *("2:4", "2:4x4", "1:4", "1:4x4", "unstructured@0.75", "block 4x1@0.75"),
    *("unstructured@0.9", "block 4x1@0.9"),
)


def pruned(model: ir.Model, pattern: str) -> ir.Model:
    """The model with its prunable weights in the pattern, each layer alike, and packed."""
    text, _, share = pattern.partition("@")
    recipe = gp.Recipe(pattern=text, sparsity=float(share) if share else None)
    return run_pass(PruneWeights(gp.plan(model, recipe)), model).model


def measure(name: str, patterns: list[str], threads: int, runs: int) -> list[str]:
    """Rows of the Markdown table."""
    dense = models.build(name)
    sparse = {pattern: pruned(dense, pattern) for pattern in patterns}
    with pinned(threads):
        sides = {"dense": gp.compile(dense, backend="onnxruntime", threads=threads)}
    for pattern, model in sparse.items():
        sides[pattern] = gp.compile(run_pass(PackWeights(min_sparsity=0.4), model).model, threads=threads)
    equal = {pattern: gp.verify(model, sides[pattern]).passed for pattern, model in sparse.items()}
    report = gp.bench(sides, models.random_feed(dense, 0), threads=threads, runs=runs, baseline="dense")
    base, *others = report.timings
    return [
        f"| {name} | {each.label} | {base.median_ms:.1f} | {each.median_ms:.1f} | {each.speedup:.2f}x "
        f"| {'yes' if equal[each.label] else 'NO'} |"
        for each in others
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=DEFAULT, help=f"of {', '.join(models.names())}")
    parser.add_argument("--pattern", action="append", help=f"by default {', '.join(PATTERNS)}")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    environment = read_environment()
    print(f"{environment.cpu}, {options.threads} thread(s), {environment.versions}, commit {environment.commit}")
    print("| model | pattern | ONNX Runtime dense, ms | ours, ms | ratio | equal |")
    print("|---|---|---|---|---|---|")
    for name in options.models:
        for row in measure(name, options.pattern or list(PATTERNS), options.threads, options.runs):
            print(row, flush=True)


if __name__ == "__main__":
    main()
