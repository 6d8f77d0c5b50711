"""Every real model of the project: load, prune, compile, verify against ONNX Runtime on the pruned file.

    python benchmarks/real_models.py [MODEL ...] [--sparsity 0.9] [--json OUT.json]

Models are built from seeded configurations, or are the files inside the `onnx` package with seeded weights; each is
written to a file and loaded again first. Exits with 1 if any model fails. This needs the extras `train` and `dev`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import graphprune as gp
from graphprune.errors import GraphPruneError
from graphprune.testing import models

SMALL = ("demo", "resnet_tiny", "mobilenet_tiny", "bert_tiny", "vit_tiny")


def check(name: str, sparsity: float) -> dict[str, Any]:
    """One row: seconds of each step, the largest error of three cases, and whether all were equal."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.onnx"
        gp.save(models.build(name), path)
        times = [time.perf_counter()]
        model = gp.load(path)
        times.append(time.perf_counter())
        plan = gp.plan(model, gp.Recipe(sparsity=sparsity))
        pruned = gp.Pipeline([gp.passes.PruneWeights(plan=plan)]).run(model).model
        times.append(time.perf_counter())
        session = gp.compile(pruned)
        times.append(time.perf_counter())
        report = gp.verify(pruned, session)
    seconds = dict(zip(("load", "prune", "compile"), (b - a for a, b in itertools.pairwise(times)), strict=True))
    worst = max(report.outputs, key=lambda output: output.difference.max_abs_error).difference
    return {
        "model": name,
        "passed": report.passed,
        "max_absolute_error": worst.max_abs_error,
        "max_absolute_reference": worst.max_abs_reference,
        "seconds": seconds,
    }


def main() -> int:
    """Check all models and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=[name for name in models.names() if name not in SMALL])
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--json", type=Path, help="also write the rows here")
    options = parser.parse_args()
    print("| model | equal | largest error | of | prune, s | compile, s |")
    print("|---|---|---|---|---|---|")
    rows, failed = [], False
    for name in options.models:
        try:
            row = check(name, options.sparsity)
        except GraphPruneError as error:
            failed = True
            print(f"| {name} | {error} | | | | |", flush=True)
            continue
        rows.append(row)
        failed |= not row["passed"]
        seconds = row["seconds"]
        print(
            f"| {name} | {'yes' if row['passed'] else 'NO'} | {row['max_absolute_error']:.1e} "
            f"| {row['max_absolute_reference']:.2g} | {seconds['prune']:.1f} | {seconds['compile']:.1f} |",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
