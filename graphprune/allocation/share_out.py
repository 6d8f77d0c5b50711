"""Plans whose zeros are where they cost the least: for a share of zeros in all, or for a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import onnx_ir as ir

from graphprune.allocation.allocate import of_sparsity, within_time
from graphprune.allocation.damage import measure_damages
from graphprune.allocation.levels import ANY_SHARE
from graphprune.allocation.times import measure_times
from graphprune.backends.base import tensor_infos
from graphprune.calibration.samples import SAMPLES, check_varied, take
from graphprune.errors import InputError, RecipeError
from graphprune.graph.arguments import check_model
from graphprune.planning.planner import plan
from graphprune.planning.pruning_plan import PruningPlan
from graphprune.planning.recipe import Recipe


def allocate(  # noqa: PLR0913 - one argument an option
    model: ir.Model,
    recipe: Recipe,
    samples: Iterable[Mapping[str, np.ndarray]],
    *,
    latency_ms: float | None = None,
    speedup: float | None = None,
    target: str = "native",
    threads: int = 1,
    most_samples: int = SAMPLES,
    on_layer: Callable[[int], None] | None = None,
) -> PruningPlan:
    """Decide how many zeros each weight gets, by what zeros in it alone cost the model's outputs on samples.

    Args:
        model: Dense.
        recipe: Which weights, with which pattern and criterion. Its sparsity is that of all of them together, unless a
            time is given.
        samples: Arrays by input name.
        latency_ms: What a run may take, as the times of its kernels are measured on this machine.
        speedup: The same, as the time of the dense model, compiled, over it.
        target: What is compiled for, this machine's.
        threads: Of a run.
        most_samples: How many samples are looked at.
        on_layer: Called with the number of weights whose damage is measured.

    Raises:
        RecipeError: As `plan`; channels (GP587), weights of several patterns (GP640), or more zeros, or a shorter time,
            than there can be (GP641).
        InputError: Of samples, as `graphprune.prune`; both times, or one out of range (GP647).
    """
    check_model("allocate", model)
    _check_bounds(latency_ms, speedup)
    if recipe.of_channels:
        raise RecipeError("allocate: the recipe is of channels, which have a search of their own", code="GP587")
    by_time = latency_ms is not None or speedup is not None
    share = ANY_SHARE if by_time and recipe.sparsity is None else recipe.sparsity
    entries = plan(model, recipe.model_copy(update={"scope": None, "sparsity": share}))
    feeds = take(samples, tensor_infos(model.graph.inputs), most_samples)
    check_varied(feeds)
    damages = measure_damages(model, entries, feeds, on_layer)
    if not by_time:
        return of_sparsity(entries, damages, _sparsity(entries))
    times = measure_times(model, entries, feeds[0], target, threads)
    most_ms = latency_ms if speedup is None else times.whole(0.0) / speedup
    assert most_ms is not None, "one of them is given"
    return within_time(entries, damages, times, most_ms)[0]


def _sparsity(entries: PruningPlan) -> float:
    return sum(each.pruned for each in entries.weights) / sum(math.prod(each.shape) for each in entries.weights)


def _check_bounds(latency_ms: float | None, speedup: float | None) -> None:
    if latency_ms is not None and speedup is not None:
        raise InputError("a latency and a speed-up are given, expected one of them", code="GP647")
    given = speedup if latency_ms is None else latency_ms
    if given is not None and not 0 < given < math.inf:
        raise InputError(f"the bound is {given}, expected a number above 0", code="GP647")
