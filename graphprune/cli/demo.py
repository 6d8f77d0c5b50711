"""`graphprune demo`: the whole way on a built-in ResNet-18, from pruning to a speed-up over ONNX Runtime."""

from __future__ import annotations

from typing import Annotated

import typer

from graphprune.cli import bench, verify
from graphprune.cli.exit_codes import FAILED_VERIFICATION
from graphprune.cli.options import Json, Threads
from graphprune.cli.output import print_json, print_line, progress


def demo_command(
    sparsity: Annotated[float, typer.Option(help="Share of zeros, in [0, 1).")] = 0.9,
    threads: Threads = 1,
    *,
    json: Json = False,
) -> None:
    """Build a ResNet-18, prune it, compile it, verify it and time it against ONNX Runtime on the dense model."""
    from graphprune.backends.onnxruntime import session_for
    from graphprune.compiler.compile import compile as compile_model
    from graphprune.measuring.benchmark import bench as time_sides
    from graphprune.measuring.environment import pinned
    from graphprune.passes.base import run_pass
    from graphprune.passes.prune_weights import PruneWeights
    from graphprune.planning.planner import plan
    from graphprune.planning.recipe import Recipe
    from graphprune.testing.models import build
    from graphprune.verification.feeds import random_feed
    from graphprune.verification.verifier import verify as compare
    from graphprune_runtime.loading import check_threads

    check_threads(threads)
    recipe = Recipe(sparsity=sparsity)
    with progress("building ResNet-18"):
        dense = build("demo")
    with progress(f"pruning to {sparsity:.0%} zeros"):
        pruned = run_pass(PruneWeights(plan=plan(dense, recipe)), dense).model
    with pinned(threads):
        with progress("compiling for this machine"):
            session = compile_model(pruned, threads=threads)
        with progress("verifying against ONNX Runtime", 3) as advance:
            verified = compare(pruned, session, on_case=advance)
        sides = {
            f"graphprune, {sparsity:.0%} zeros": session,
            "onnxruntime, the same file": session_for(pruned, threads),
            "onnxruntime, dense": session_for(dense, threads),
        }
        with progress("timing", 35) as advance:
            timed = time_sides(sides, random_feed(dense), threads, on_round=advance)
    if json:
        print_json({"model": "ResNet-18", "verify": verified.to_dict(), "bench": timed.to_dict()})
    else:
        print_line(f"ResNet-18, 224 x 224, batch 1, float32, {sparsity:.0%} of the prunable weights zero")
        verify.print_report(verified)
        bench.print_report(timed)
    if not verified.passed:
        raise typer.Exit(FAILED_VERIFICATION)
