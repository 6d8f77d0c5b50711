"""graphprune: a compiler for pruned neural networks.

An exported model goes in, its weights are pruned and packed, the graph is compiled for a named CPU, and the result is
proved to be the same function with its speed measured.

    model = graphprune.load("resnet50.onnx")
    plan = graphprune.plan(model, graphprune.Recipe(sparsity=0.9))
    result = graphprune.Pipeline([graphprune.passes.PruneWeights(plan=plan)]).run(model)
    session = graphprune.compile(result.model)

The names below are imported when they are first used, so that `import graphprune` costs nothing.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphprune import passes, training
    from graphprune.allocation.share_out import allocate
    from graphprune.calibration.channels import ChannelPruneResult, prune_channels
    from graphprune.calibration.prune import prune
    from graphprune.calibration.pruner import PruneResult
    from graphprune.calibration.quantize import QuantizeResult, quantize
    from graphprune.compiler.compile import compile  # noqa: A004 - it is the verb for what a compiler does
    from graphprune.compiler.custom_op import export_for_onnxruntime
    from graphprune.errors import GraphPruneError
    from graphprune.frontends.onnx_file import load, save
    from graphprune.frontends.torch_graph import to_torch
    from graphprune.frontends.torch_module import from_torch
    from graphprune.measuring.benchmark import BenchReport, bench
    from graphprune.measuring.profiler import Profile, profile
    from graphprune.native import get_include
    from graphprune.optimization.optimize import optimize
    from graphprune.passes.normalize import normalize
    from graphprune.passes.pipeline import Pipeline
    from graphprune.planning.planner import plan
    from graphprune.planning.pruning_plan import PruningPlan
    from graphprune.planning.recipe import Recipe
    from graphprune.reporting.report import Report
    from graphprune.verification.report import VerifyReport
    from graphprune.verification.verifier import verify
    from graphprune_runtime.loading import load_session

__version__ = "0.1.0"

__all__ = [
    "BenchReport",
    "ChannelPruneResult",
    "GraphPruneError",
    "Pipeline",
    "Profile",
    "PruneResult",
    "PruningPlan",
    "QuantizeResult",
    "Recipe",
    "Report",
    "VerifyReport",
    "allocate",
    "bench",
    "compile",
    "export_for_onnxruntime",
    "from_torch",
    "get_include",
    "load",
    "load_session",
    "normalize",
    "optimize",
    "passes",
    "plan",
    "profile",
    "prune",
    "prune_channels",
    "quantize",
    "save",
    "to_torch",
    "training",
    "verify",
]

_HOMES = {
    "BenchReport": "graphprune.measuring.benchmark",
    "ChannelPruneResult": "graphprune.calibration.channels",
    "GraphPruneError": "graphprune.errors",
    "Pipeline": "graphprune.passes.pipeline",
    "Profile": "graphprune.measuring.profiler",
    "PruneResult": "graphprune.calibration.pruner",
    "PruningPlan": "graphprune.planning.pruning_plan",
    "QuantizeResult": "graphprune.calibration.quantize",
    "Recipe": "graphprune.planning.recipe",
    "Report": "graphprune.reporting.report",
    "VerifyReport": "graphprune.verification.report",
    "allocate": "graphprune.allocation.share_out",
    "bench": "graphprune.measuring.benchmark",
    "compile": "graphprune.compiler.compile",
    "export_for_onnxruntime": "graphprune.compiler.custom_op",
    "from_torch": "graphprune.frontends.torch_module",
    "get_include": "graphprune.native",
    "load": "graphprune.frontends.onnx_file",
    "load_session": "graphprune_runtime.loading",
    "normalize": "graphprune.passes.normalize",
    "optimize": "graphprune.optimization.optimize",
    "plan": "graphprune.planning.planner",
    "profile": "graphprune.measuring.profiler",
    "prune": "graphprune.calibration.prune",
    "prune_channels": "graphprune.calibration.channels",
    "quantize": "graphprune.calibration.quantize",
    "save": "graphprune.frontends.onnx_file",
    "to_torch": "graphprune.frontends.torch_graph",
    "verify": "graphprune.verification.verifier",
}
"""The module of each public name; no module of the package has one of these names, which would hide it."""


_ROOMS = frozenset({"passes", "training"})
"""Rooms that are public as they are: `graphprune.training.prepare`."""


def __getattr__(name: str) -> object:
    if name in _ROOMS:
        return _imported(f"graphprune.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'graphprune' has no attribute '{name}'")
    found: object = getattr(_imported(_HOMES[name]), name)
    globals()[name] = found
    return found


def _imported(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        from graphprune.errors import torch_is_missing

        raise torch_is_missing(error) from error


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
