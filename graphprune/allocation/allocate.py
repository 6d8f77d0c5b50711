"""The shares of zeros that cost the least within a bound on time, or for so many zeros in all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array, vstack

from graphprune.allocation.damage import Damages
from graphprune.allocation.levels import at_level
from graphprune.allocation.times import Times
from graphprune.errors import RecipeError
from graphprune.planning.pruning_plan import PruningPlan

Costs = npt.NDArray[np.float64]

_GAP = 1e-4
"""How far the sum of the damages may be from the least possible, relative to that."""


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
    zeros = np.outer([sizes[name] for name in names], damages.levels)
    chosen = choose(np.array([damages.weights[name] for name in names]), -zeros, -sparsity * sum(sizes.values()))
    if chosen is None:
        most = zeros.max(axis=1).sum() / sum(sizes.values())
        raise RecipeError(f"at most {most:.1%} of the weights can go, {sparsity:.1%} were asked for", code="GP641")
    return _planned(plan, dict(zip(names, chosen, strict=True)), damages.levels)


def choose(damages: Costs, costs: Costs, most: float) -> Sequence[int] | None:
    """Return the column of each row for which the sum of the damages is the least and that of the costs at most `most`.

    A multiple-choice knapsack (SPDY, Frantar and Alistarh 2022, arXiv 2201.13096, section 3.1), as integer program.

    Args:
        damages: [rows, columns].
        costs: Likewise.
        most: In the unit of the costs.

    Returns:
        A column a row; None where no choice costs so little.
    """
    rows, columns = damages.shape
    scale = float(damages.max()) or 1.0
    one_a_row = csr_array(np.kron(np.eye(rows), np.ones(columns)))
    limits = vstack([one_a_row, csr_array(costs.reshape(1, -1))])
    lower = np.append(np.ones(rows), -np.inf)
    upper = np.append(np.ones(rows), most)
    found = milp(
        damages.ravel() / scale,
        integrality=np.ones(damages.size),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(limits, lower, upper),
        options={"mip_rel_gap": _GAP, "time_limit": 30.0},
    )
    return None if found.x is None else found.x.reshape(rows, columns).argmax(axis=1).tolist()


def _planned(plan: PruningPlan, chosen: Mapping[str, int], levels: Sequence[float]) -> PruningPlan:
    levelled = ((each, levels[chosen[each.name]]) for each in plan.weights if each.name in chosen)
    entries = (at_level(each, level) for each, level in levelled)
    kept = tuple(entry for entry in entries if entry is not None)
    if not kept:
        raise RecipeError("no weight gets any zeros", code="GP326")
    return PruningPlan(model=plan.model, weights=kept)
