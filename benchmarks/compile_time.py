"""Seconds that `gp.compile` takes, of the clock and of all processors, and in which stage they go.

    python -m benchmarks.compile_time [MODEL ...] [--sparsity 0.9]

Each model is compiled in this process, after one small model that loads everything, with an empty cache of machine
code, and again with what is in it then. Stages are of the clock, the first time: passes over the graph, preparing and
packing it, emitting kernels, machine code, linking. Models are built from seeded configurations; this needs the extras
`train` and `dev`.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory
from typing import ParamSpec, TypeVar
from unittest import mock

import onnx_ir as ir

import graphprune as gp
from benchmarks.compile_models import MODELS
from graphprune.errors import RecipeError
from graphprune.measuring.environment import read_environment
from graphprune.testing import models

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")

STAGES = {
    "passes": "graphprune.compiler.compile.lowerable_variants",
    "preparing": "graphprune.backends.tvm.variants._prepare",
    "kernels": "graphprune.backends.tvm.variants.lower_graph",
    "code": "graphprune.backends.tvm.building.build.compile_objects",
    "linking": "graphprune.backends.tvm.building.build.link_library",
}
"""What is timed, by its stage."""

DEFAULT = (*MODELS, "resnet50", "mobilenet_v1", "bert_base")


def cpu_seconds() -> float:
    """Of this process on all processors, and of the C compiler."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


@contextmanager
def timed(seconds: dict[str, float]) -> Iterator[None]:
    """Add up the seconds of each stage in the block."""

    def watch(stage: str, function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
        @functools.wraps(function)
        def watched(*given: _Given.args, **options: _Given.kwargs) -> _Result:
            start = time.perf_counter()
            try:
                return function(*given, **options)
            finally:
                seconds[stage] += time.perf_counter() - start

        return watched

    with ExitStack() as stack:
        for stage, where in STAGES.items():
            module, name = where.rsplit(".", 1)
            owner = importlib.import_module(module)
            stack.enter_context(mock.patch.object(owner, name, watch(stage, getattr(owner, name))))
        yield


def measure(model: ir.Model) -> dict[str, float]:
    """The seconds of all (`wall`), of the processors (`cpu`), of all a second time (`again`), and of each stage."""
    seconds = dict.fromkeys(STAGES, 0.0)
    with TemporaryDirectory() as folder, mock.patch.dict(os.environ, XDG_CACHE_HOME=folder):
        with timed(seconds):
            wall, cpu = _seconds_to_compile(model)
        again, _ = _seconds_to_compile(model)
        return {"wall": wall, "cpu": cpu, "again": again, **seconds}


def _seconds_to_compile(model: ir.Model) -> tuple[float, float]:
    """Of the clock and of the processors."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    gp.compile(model)
    return time.perf_counter() - wall, cpu_seconds() - cpu


def built(name: str, sparsity: float) -> ir.Model:
    """A model with its prunable weights at `sparsity`, if it has any."""
    model = MODELS[name]() if name in MODELS else models.build(name)
    try:
        plan = gp.plan(model, gp.Recipe(sparsity=sparsity))
    except RecipeError:
        return model
    return gp.Pipeline([gp.passes.PruneWeights(plan=plan)]).run(model).model


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=DEFAULT, help=f"of {', '.join([*MODELS, *models.names()])}")
    parser.add_argument("--sparsity", type=float, default=0.9)
    options = parser.parse_args()
    environment = read_environment()
    print(f"{environment.cpu}, {os.cpu_count()} processors, {environment.versions}, commit {environment.commit}")
    print(f"| model | all, s | processors, s | again, s | {', s | '.join(STAGES)}, s |")
    print("|---|" + "---|" * (3 + len(STAGES)))
    measure(MODELS["small"]())
    for name in options.models:
        seconds = measure(built(name, options.sparsity))
        print(f"| {name} | {' | '.join(f'{each:.2f}' for each in seconds.values())} |", flush=True)


if __name__ == "__main__":
    main()
