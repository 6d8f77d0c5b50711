"""How long each layer of a model takes at several shares of zeros, measured on the compiled model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from graphprune.allocation.levels import at_level, levels_of
from graphprune.calibration.ranges import Feed
from graphprune.compiler.compile import compile as compile_model
from graphprune.masks.criteria import Magnitude
from graphprune.measuring.environment import pinned
from graphprune.measuring.profiler import time_calls
from graphprune.passes.base import run_pass
from graphprune.passes.prune_weights import PruneWeights
from graphprune.planning.documents import Document
from graphprune.planning.pruning_plan import PruningPlan, WeightPlan

Finish = Callable[[ir.Model], ir.Model]
"""What is done to a pruned model before it is compiled, such as `quantize`."""


class Times(Document):
    """How long kernels take.

    Attributes:
        levels: Shares of zeros.
        weights: By name, the milliseconds of the kernels of the node that multiplies by it, at each of the levels.
        others: The milliseconds of the rest of a run, at each of the levels.
    """

    levels: tuple[float, ...]
    weights: dict[str, tuple[float, ...]]
    others: tuple[float, ...]

    @property
    def rest(self) -> float:
        """The milliseconds of a run that no weight changes."""
        return sum(self.others) / len(self.others)

    def whole(self, share: float) -> float:
        """Return the milliseconds of a run with all weights at a share of zeros, in between by what the levels take."""
        return self.rest + float(np.interp(share, self.levels, np.sum(list(self.weights.values()), axis=0)))


def measure_times(
    model: ir.Model,
    plan: PruningPlan,
    feed: Feed,
    target: str = "native",
    threads: int = 1,
    finish: Finish | None = None,
    on_level: Callable[[int], None] | None = None,
) -> Times:
    """Compile a model with all weights of a plan at one share of zeros after another, and time its kernels.

    Zeros are those of the smallest weights: kernels choose by how many there are, and take as long for others.

    Args:
        model: Dense.
        plan: Which weights, with which pattern; its shares and criteria do not matter.
        feed: What is run.
        target: What is compiled for, this machine's.
        threads: Of a run.
        finish: What is done to each model before it is compiled.
        on_level: Called with the number of levels that are done.
    """
    levels = levels_of(plan)
    runs = []
    for number, level in enumerate(levels, 1):
        pruned = _pruned(model, plan, level)
        runs.append(_node_times(pruned if finish is None else finish(pruned), feed, target, threads))
        if on_level:
            on_level(number)
    nodes = {planned.name: str(weight.node.name) for planned, weight in plan.resolve(model)}
    weights = {name: tuple(run.get(node, 0.0) for run in runs) for name, node in nodes.items()}
    others = tuple(sum(run.values()) - sum(run.get(node, 0.0) for node in nodes.values()) for run in runs)
    return Times(levels=levels, weights=weights, others=others)


def _pruned(model: ir.Model, plan: PruningPlan, level: float) -> ir.Model:
    entries = [at_level(planned, level) for planned in plan.weights]
    by_magnitude = [_by_magnitude(entry) for entry in entries if entry is not None]
    if not by_magnitude:
        return model
    return run_pass(PruneWeights(plan=plan.model_copy(update={"weights": tuple(by_magnitude)})), model).model


def _by_magnitude(planned: WeightPlan) -> WeightPlan:
    return planned.model_copy(update={"criterion": Magnitude.name})


def _node_times(model: ir.Model, feed: Feed, target: str, threads: int) -> dict[str, float]:
    """Milliseconds by node; what is between kernels belongs to no node."""
    with pinned(threads):
        run_ms, calls = time_calls(compile_model(model, target, threads), feed)
    times: dict[str, float] = {"": max(0.0, run_ms - sum(each.ms for each in calls))}
    for each in calls:
        times[each.call.node] = times.get(each.call.node, 0.0) + each.ms
    return times
