"""One layer and what it multiplies: which of its weights go, and what the others become."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from graphprune.calibration.moments import Floats, InputMoments, output_error
from graphprune.masks.criteria import SPARSEGPT, WeightValues, parse_criterion
from graphprune.masks.least_squares import Mask, solve_kept
from graphprune.masks.patterns import parse_pattern
from graphprune.masks.second_order import DAMPING, prune_by_second_order
from graphprune.planning.pruning_plan import WeightPlan


class Repair(StrEnum):
    """What is done to the weights that stay, so that outputs stay closer to what they were."""

    BIAS = "bias"
    LEAST_SQUARES = "least-squares"


@dataclass(frozen=True)
class Solution:
    """What becomes of a layer.

    Attributes:
        weight: The new weight, float64, as it is stored.
        keep: Which elements stay, likewise.
        shift: What is to be added to each output, [outputs]: zeros unless biases are repaired.
        error: The root of the mean square of what outputs differ by on the samples, over that of the outputs.
    """

    weight: Floats
    keep: Mask
    shift: Floats
    error: float


def needs_products(plan: WeightPlan, repairs: Collection[Repair]) -> bool:
    """Whether the second moments of any two inputs are needed."""
    return plan.criterion == SPARSEGPT.name or Repair.LEAST_SQUARES in repairs


def solve(
    plan: WeightPlan, array: npt.NDArray[Any], moments: Sequence[InputMoments], repairs: Collection[Repair]
) -> Solution:
    """Prune a weight as the plan says, by what it multiplies, and repair the rest.

    Args:
        plan: Of the weight.
        array: The weight.
        moments: Of the inputs of each of its groups.
        repairs: What is done then.

    Raises:
        RecipeError: The weight holds NaN or an infinity (GP323).
        InputError: Its inputs have singular second moments (GP582).
    """
    rows = plan.axes.rows(array).astype(np.float64)
    scores = parse_criterion(plan.criterion).score(WeightValues(plan.name, array, _scale(plan, rows, moments)))
    pattern = parse_pattern(plan.pattern)
    if plan.criterion == SPARSEGPT.name:
        counts = pairwise(round(plan.pruned * group / len(moments)) for group in range(len(moments) + 1))
        parts = zip(np.split(rows, len(moments)), moments, counts, strict=True)
        found = [
            prune_by_second_order(part, each.factor, pattern, stop - start, each.squares != 0)
            for part, each, (start, stop) in parts
        ]
        pruned = np.concatenate(found)
        keep = pruned != 0
    else:
        keep = plan.axes.rows(pattern.keep_mask(scores, plan.axes, plan.pruned))
        pruned = np.where(keep, rows, 0.0)
    if Repair.LEAST_SQUARES in repairs:
        pruned = _least_squares(rows, pruned, keep, moments, centred=Repair.BIAS in repairs)
    return _solution(plan, rows, pruned, keep, moments, shifted=Repair.BIAS in repairs)


def _scale(plan: WeightPlan, rows: Floats, moments: Sequence[InputMoments]) -> Floats | None:
    """How much each input counts for a criterion that asks for it, of the shape of the weight."""
    if not parse_criterion(plan.criterion).needs_samples:
        return None
    outputs, positions, inputs = rows.shape
    by_group = np.stack([each.norms for each in moments]).repeat(outputs // len(moments), axis=0)
    scale: Floats = plan.axes.restore(by_group.reshape(rows.shape[0], positions, inputs), plan.shape)
    return scale


def _least_squares(
    rows: Floats, pruned: Floats, keep: Mask, moments: Sequence[InputMoments], *, centred: bool
) -> Floats:
    """The weights that stay, at the optimum of each output; up to a constant where `centred`."""
    found = []
    for exact, start, kept, each in zip(
        *(_groups(part, moments) for part in (rows, pruned, keep)), moments, strict=True
    ):
        second = each.second - np.outer(each.mean, each.mean) if centred else each.second
        second[np.diag_indices_from(second)] += DAMPING * max(np.diagonal(second).mean(), np.finfo(np.float64).tiny)
        found.append(solve_kept(start, exact, second, kept))
    return np.concatenate(found).reshape(rows.shape)


def _groups(rows: npt.NDArray[Any], moments: Sequence[InputMoments]) -> list[npt.NDArray[Any]]:
    """The rows of each group as matrices."""
    return np.split(rows.reshape(len(rows), -1), len(moments))


def _solution(
    plan: WeightPlan,
    rows: Floats,
    pruned: Floats,
    keep: Mask,
    moments: Sequence[InputMoments],
    *,
    shifted: bool,
) -> Solution:
    pairs = list(zip(_groups(rows, moments), _groups(pruned, moments), moments, strict=True))
    shifts = [(exact - other) @ each.mean if shifted else np.zeros(len(exact)) for exact, other, each in pairs]
    errors = [output_error(each, exact, other, by) for (exact, other, each), by in zip(pairs, shifts, strict=True)]
    wrong, whole = np.sum(errors, axis=0)
    weight, kept = (plan.axes.restore(part, plan.shape) for part in (pruned, keep))
    return Solution(weight, kept, np.concatenate(shifts), math.sqrt(wrong / whole) if whole else 0.0)
