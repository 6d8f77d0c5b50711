"""One layer and what it multiplies: which of its weights go, and what the others become."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from graphprune.calibration.damping import choose_damping
from graphprune.calibration.moments import DriftMoments, Floats, InputMoments
from graphprune.calibration.repair import Repair
from graphprune.masks.criteria import SPARSEGPT, WeightValues, parse_criterion
from graphprune.masks.least_squares import Mask, solve_kept
from graphprune.masks.patterns import Pattern, parse_pattern
from graphprune.masks.refinement import InputStatistics, Refinement, refine
from graphprune.masks.second_order import DAMPING, prune_by_second_order
from graphprune.planning.pruning_plan import WeightPlan


@dataclass(frozen=True)
class Solution:
    """What becomes of a layer.

    Attributes:
        weight: The new weight, float64, as it is stored.
        keep: Which elements stay, likewise.
        shift: What is to be added to each output, [outputs]: zeros unless biases are repaired.
        error: The root of the mean square of what outputs differ by on rows of the samples, over that of the outputs.
    """

    weight: Floats
    keep: Mask
    shift: Floats
    error: float


@dataclass(frozen=True)
class Group:
    """The rows of a weight that multiply the same inputs; all, unless a convolution has several groups.

    Attributes:
        exact: The weights of the dense model, [outputs, columns].
        moments: Of what they multiply now.
        drift: What that was in the dense model, where it is made up for.
        centred: Whether means are left to the bias.
        damping: The share of the mean diagonal of second moments that is added to it.
    """

    exact: Floats
    moments: InputMoments
    drift: DriftMoments | None
    centred: bool
    damping: float = DAMPING

    def target(self) -> Floats:
        """Return the weights that are pruned: W of the dense model, or those with the least `|V x - W x'|`.

        That is `W + W E[(x' - x) x^T] E[x x^T]^-1`, for x as it is now and x' as it was: the least squares that Li et
        al. 2025, "GPTAQ", quantize towards.
        """
        if self.drift is None:
            return self.exact
        factor = self.moments.factor(centred=self.centred, damping=self.damping)
        lost = self.exact @ self.drift.second(self.moments, centred=self.centred)
        return self.exact + (lost @ factor.T) @ factor

    def swept(self, rows: Floats, pattern: Pattern, pruned: int) -> Floats:
        """Return what is left of weights [outputs, positions, inputs], and makes up for what went."""
        factor, alive = self.moments.factor(centred=self.centred, damping=self.damping), self.moments.squares != 0
        return prune_by_second_order(rows, factor, pattern, pruned, alive)

    def refined(self, start: Floats, target: Floats, keep: Mask, pattern: Pattern) -> Mask:
        """Return what of weights [outputs, positions, inputs] stays after swaps that bring means closer."""
        inputs = InputStatistics(self.moments.sums, self.moments.variance, self.moments.norms)
        return refine(start, target, keep, inputs, pattern)

    def best(self, start: Floats, target: Floats, keep: Mask) -> Floats:
        """Return the weights that stay at the optimum of each output."""
        second = self.moments.second(centred=self.centred)
        second[np.diag_indices_from(second)] += self.damping * max(
            np.diagonal(second).mean(), np.finfo(np.float64).tiny
        )
        return solve_kept(start, target, second, keep)

    def shift(self, found: Floats) -> Floats:
        """Return what the mean of each output loses, where the bias takes that."""
        if not self.centred:
            return np.zeros(len(found))
        lost = (self.exact - found) @ self.moments.mean
        return lost if self.drift is None else lost + self.exact @ self.drift.mean(self.moments)

    def errors(self, found: Floats) -> tuple[float, float]:
        """Return the sum of the squares of what outputs differ by on some rows, and of the outputs themselves."""
        now = np.concatenate(self.moments.some).astype(np.float64)
        before = now if self.drift is None else np.concatenate(self.drift.some).astype(np.float64)
        outputs = before @ self.exact.T
        return float(np.square(now @ found.T + self.shift(found) - outputs).sum()), float(np.square(outputs).sum())


def needs_products(plan: WeightPlan, repairs: Collection[Repair]) -> bool:
    """Whether the second moments of any two inputs are needed."""
    return plan.criterion == SPARSEGPT.name or not {Repair.DRIFT, Repair.LEAST_SQUARES}.isdisjoint(repairs)


def solve(
    plan: WeightPlan,
    array: npt.NDArray[Any],
    moments: Sequence[InputMoments],
    repairs: Collection[Repair],
    drifts: Sequence[DriftMoments] | None = None,
    refinement: Refinement | None = None,
    kept: Mask | None = None,
) -> Solution:
    """Prune a weight as the plan says, by what it multiplies, and repair the rest.

    Args:
        plan: Of the weight.
        array: The weight.
        moments: Of the inputs of each of its groups.
        repairs: What is done beside.
        drifts: How those inputs differ from the dense model's, where that is repaired.
        refinement: What is done to the mask, for a pattern that takes it.
        kept: Which elements stay, of the shape of the weight, where something else than the plan says that.

    Raises:
        RecipeError: The weight holds NaN or an infinity (GP323).
        InputError: Its inputs have singular second moments (GP582).
    """
    exact = _matrices(plan.axes.rows(array).astype(np.float64), len(moments))
    each_drift = drifts if drifts is not None else [None] * len(moments)
    centred = Repair.BIAS in repairs
    groups = [
        Group(*each, centred, choose_damping(*each, centred=centred) if Repair.DAMPING in repairs else DAMPING)
        for each in zip(exact, moments, each_drift, strict=True)
    ]
    targets = [group.target() for group in groups]
    rows = np.concatenate(targets).reshape(plan.axes.rows_shape(plan.shape))
    pruned, keep = _pruned(plan, rows, groups) if kept is None else _kept(rows, plan.axes.rows(kept))
    if refinement is not None:
        pruned, keep = _refined(plan, rows, groups, pruned, keep)
    found = _matrices(pruned, len(groups))
    if Repair.LEAST_SQUARES in repairs:
        parts = zip(groups, found, targets, _matrices(keep, len(groups)), strict=True)
        found = [group.best(start, target, stays) for group, start, target, stays in parts]
    return _solution(plan, groups, found, keep)


def _matrices(rows: npt.NDArray[Any], groups: int) -> list[npt.NDArray[Any]]:
    """The rows of each group [outputs, columns] of a weight [outputs, positions, inputs]."""
    return np.split(rows.reshape(len(rows), -1), groups)


def _pruned(plan: WeightPlan, rows: Floats, groups: Sequence[Group]) -> tuple[Floats, Mask]:
    """What is left of a weight [outputs, positions, inputs], and which elements those are."""
    pattern, stored = parse_pattern(plan.pattern), plan.axes.restore(rows, plan.shape)
    scores = parse_criterion(plan.criterion).score(WeightValues(plan.name, stored, _scale(plan, groups)))
    if plan.criterion != SPARSEGPT.name:
        return _kept(rows, plan.axes.rows(pattern.keep_mask(scores, plan.axes, plan.pruned)))
    counts = pairwise(round(plan.pruned * number / len(groups)) for number in range(len(groups) + 1))
    parts = zip(groups, np.split(rows, len(groups)), counts, strict=True)
    pruned = np.concatenate([group.swept(part, pattern, stop - start) for group, part, (start, stop) in parts])
    return pruned, pruned != 0


def _kept(rows: Floats, keep: Mask) -> tuple[Floats, Mask]:
    return np.where(keep, rows, 0.0), keep


def _refined(
    plan: WeightPlan, rows: Floats, groups: Sequence[Group], pruned: Floats, keep: Mask
) -> tuple[Floats, Mask]:
    """What is left of a weight [outputs, positions, inputs] with a refined mask: what grows is as in `rows`."""
    pattern = parse_pattern(plan.pattern)
    parts = zip(groups, *(np.split(each, len(groups)) for each in (pruned, rows, keep)), strict=True)
    refined = np.concatenate([group.refined(start, target, kept, pattern) for group, start, target, kept in parts])
    return np.where(refined, np.where(keep, pruned, rows), 0.0), refined


def _scale(plan: WeightPlan, groups: Sequence[Group]) -> Floats | None:
    """How much each input counts for a criterion that asks for it, of the shape of the weight."""
    if not parse_criterion(plan.criterion).needs_samples:
        return None
    by_row = np.concatenate([np.tile(group.moments.norms, (len(group.exact), 1)) for group in groups])
    scale: Floats = plan.axes.restore(by_row.reshape(plan.axes.rows_shape(plan.shape)), plan.shape)
    return scale


def _solution(plan: WeightPlan, groups: Sequence[Group], found: Sequence[Floats], keep: Mask) -> Solution:
    pairs = list(zip(groups, found, strict=True))
    wrong, whole = np.sum([group.errors(each) for group, each in pairs], axis=0)
    weight = plan.axes.restore(np.concatenate(found).reshape(keep.shape), plan.shape)
    shift = np.concatenate([group.shift(each) for group, each in pairs])
    return Solution(weight, plan.axes.restore(keep, plan.shape), shift, math.sqrt(wrong / whole) if whole else 0.0)
