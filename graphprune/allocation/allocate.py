"""The shares of zeros that cost the least within a bound on time, or for so many zeros in all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from graphprune.allocation.damage import Damages
from graphprune.allocation.levels import at_level
from graphprune.allocation.times import Times
from graphprune.errors import RecipeError
from graphprune.planning.pruning_plan import PruningPlan

Floats = npt.NDArray[np.float64]

STEPS = 50_000
"""Into which what may be spent is divided."""


def within_time(plan: PruningPlan, damages: Damages, times: Times, most_ms: float) -> tuple[PruningPlan, float]:
    """Return the plan that costs the least with runs of at most `most_ms`, and how long they are expected to be.

    Args:
        plan: Which weights, with which pattern and criterion.
        damages: Of its weights; those without any stay dense.
        times: Of its weights.
        most_ms: Milliseconds.

    Raises:
        RecipeError: Runs are longer with the most zeros (GP641).
    """
    names = list(damages.weights)
    dense = sum(each[0] for name, each in times.weights.items() if name not in damages.weights)
    costs = np.array([times.weights[name] for name in names])
    chosen = choose(np.array([damages.weights[name] for name in names]), costs, most_ms - times.rest - dense)
    if chosen is None:
        least = times.rest + dense + costs.min(axis=1).sum()
        raise RecipeError(
            f"a run takes {least:.3g} ms with the most zeros, {most_ms:.3g} ms were asked for", code="GP641"
        )
    found = _planned(plan, dict(zip(names, chosen, strict=True)), damages.levels)
    return found, times.rest + dense + float(costs[np.arange(len(names)), chosen].sum())


def of_sparsity(plan: PruningPlan, damages: Damages, sparsity: float) -> PruningPlan:
    """Return the plan that costs the least with this share of zeros in all of its weights.

    Args:
        plan: Which weights, with which pattern and criterion.
        damages: Of its weights; those without any stay dense.
        sparsity: The share of zeros, in [0, 1).

    Raises:
        RecipeError: There cannot be so many (GP641).
    """
    sizes = {each.name: math.prod(each.shape) for each in plan.weights}
    names = list(damages.weights)
    costs = np.array([damages.weights[name] for name in names])
    zeros = np.where(np.isfinite(costs), np.outer([sizes[name] for name in names], damages.levels), 0.0)
    chosen = choose(costs, -zeros, -sparsity * sum(sizes.values()))
    if chosen is None:
        most = zeros.max(axis=1).sum() / sum(sizes.values())
        raise RecipeError(f"at most {most:.1%} of the weights can go, {sparsity:.1%} were asked for", code="GP641")
    return _planned(plan, dict(zip(names, chosen, strict=True)), damages.levels)


def choose(damages: Floats, costs: Floats, most: float) -> list[int] | None:
    """Return the column of each row for which the sum of the damages is the least and that of the costs at most `most`.

    A multiple-choice knapsack by dynamic programming (SPDY, Frantar and Alistarh 2022, arXiv 2201.13096, section 3.1):
    what rows cost beyond their cheapest column is counted in whole steps, rounded up.

    Args:
        damages: [rows, columns]; infinite where a column is no choice.
        costs: Likewise.
        most: In the unit of the costs.

    Returns:
        A column a row; None where no choice costs so little.
    """
    cheapest = costs.min(axis=1, keepdims=True)
    room = most - float(cheapest.sum())
    if room < 0:
        return None
    step = max(room, np.finfo(np.float64).tiny) / STEPS
    extra = np.minimum(np.ceil((costs - cheapest) / step), STEPS + 1).astype(int)
    least, chosen = np.zeros(STEPS + 1), []  # by how many steps there are for the rows so far
    for damage, steps in zip(damages, extra, strict=True):
        options = np.stack([_later(least, count) + each for each, count in zip(damage, steps, strict=True)])
        chosen.append(options.argmin(axis=0))
        least = options.min(axis=0)
    return _traced(chosen, extra) if np.isfinite(least[-1]) else None


def _later(least: Floats, steps: int) -> Floats:
    """What there is where so many steps are taken by another row."""
    return np.concatenate([np.full(steps, np.inf), least])[: len(least)]


def _traced(chosen: Sequence[npt.NDArray[np.intp]], extra: npt.NDArray[np.int_]) -> list[int]:
    """The columns, from the last row to the first, with all steps at its disposal."""
    left, found = STEPS, []
    for columns, steps in zip(reversed(chosen), reversed(extra), strict=True):
        found.append(int(columns[left]))
        left -= int(steps[found[-1]])
    return found[::-1]


def _planned(plan: PruningPlan, chosen: Mapping[str, int], levels: Sequence[float]) -> PruningPlan:
    levelled = ((each, levels[chosen[each.name]]) for each in plan.weights if each.name in chosen)
    entries = (at_level(each, level) for each, level in levelled)
    kept = tuple(entry for entry in entries if entry is not None)
    if not kept:
        raise RecipeError("no weight gets any zeros", code="GP326")
    return PruningPlan(model=plan.model, weights=kept)
