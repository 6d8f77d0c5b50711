"""From a recipe and a model to a plan."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphprune.analysis.weights import LinearWeight, linear_weights, prunable_weights
from graphprune.diagnostics import Skip
from graphprune.errors import RecipeError
from graphprune.graph.arguments import check_model
from graphprune.masks.criteria import WeightValues, parse_criterion
from graphprune.masks.patterns import NM, Block, Pattern, Unstructured, parse_pattern
from graphprune.masks.selection import Scores, threshold
from graphprune.planning.channels.planner import plan_channels
from graphprune.planning.documents import suggestion
from graphprune.planning.pruning_plan import PruningPlan, WeightPlan, fingerprint
from graphprune.planning.recipe import Recipe, check_recipe, matches

_LOG = logging.getLogger("graphprune")


def plan(model: ir.Model, recipe: Recipe) -> PruningPlan:
    """Decide how many zeros each weight of `model` gets; or, with the pattern `channel`, how many channels go.

    The default scope is what `prunable_weights` returns; a weight that `targets` names exactly is taken beyond it.
    Weight values are read only where the scope is global. A weight that the pattern does not fit is left alone, with a
    warning (`unfit_weights` has them).

    Raises:
        InputError: `model` or `recipe` is of another type (GP536).
        RecipeError: A pattern matches nothing (GP321), a weight would keep nothing (GP322) or cannot be ranked (GP323),
            a pattern fits no weight, or not one that is named exactly (GP329), nothing is left to prune (GP326),
            `min_kept` leaves no room for so many zeros (GP723), or a scope does not go with a pattern (GP332) or a
            criterion (GP333); for channels, see `plan_channels`.
    """
    check_model("plan", model)
    check_recipe("plan", recipe)
    if recipe.of_channels:
        return PruningPlan(model=fingerprint(linear_weights(model)[0]), channels=plan_channels(model, recipe))
    weights, skips = prunable_weights(model)
    everything = linear_weights(model)[0]
    exact = {target for targets in (recipe.targets, *(rule.targets for rule in recipe.rules)) for target in targets}
    in_scope = {weight.name for weight in weights} | exact
    _verify_patterns(recipe, [_names(weight) for weight in everything if weight.name in in_scope], skips)
    chosen = [weight for weight in everything if weight.name in in_scope and _is_chosen(recipe, weight)]
    groups = list(_groups(recipe, chosen))
    planned = {entry.name: entry for group in groups for entry in group.planned()}
    unfit = [skip for group in groups for skip in group.unfit()]
    refused = next((skip for skip in unfit if skip.node in exact or not planned), None)
    if refused is not None:
        raise RecipeError(f"weight '{refused.node}' {refused.reason}", code=refused.code)
    if not planned:
        raise RecipeError(f"nothing to prune: {_why_nothing(recipe, chosen, skips)}", code="GP326")
    for skip in unfit:
        _LOG.warning("%s", skip)
    entries = tuple(planned[weight.name] for weight in chosen if weight.name in planned)
    return PruningPlan(model=fingerprint(everything), weights=entries)


def unfit_weights(model: ir.Model, recipe: Recipe) -> list[Skip]:
    """Return the weights that a recipe chooses and that its pattern does not fit, so that `plan` leaves them alone."""
    if recipe.of_channels:
        return []
    chosen = [weight for weight in prunable_weights(model)[0] if _is_chosen(recipe, weight)]
    return [skip for group in _groups(recipe, chosen) for skip in group.unfit()]


@dataclass(frozen=True)
class _Group:
    """Weights that share one budget, if the pattern fits them."""

    chosen: Sequence[LinearWeight]
    sparsity: float
    pattern: Pattern
    scope: str
    criterion: str
    min_kept: float

    @property
    def weights(self) -> list[LinearWeight]:
        return [weight for weight in self.chosen if self.pattern.defect(weight.shape, weight.axes) is None]

    def planned(self) -> Iterator[WeightPlan]:
        """Yield the entry of each weight.

        Raises:
            RecipeError: All of one would go (GP322).
        """
        for weight, share in zip(self.weights, self._shares(), strict=True):
            count, size = self.pattern.pruned_count(weight.shape, weight.axes, share), weight.tensor.size
            if count == size:
                reason = f"all {size} elements would go at sparsity {self.sparsity} (scope {self.scope})"
                reason += "; a floor is min_kept" if self.scope == "global" else ""
                raise RecipeError(f"weight '{weight.name}' would be left empty: {reason}", code="GP322")
            yield WeightPlan(
                name=weight.name,
                shape=weight.shape,
                output_axis=weight.axes.output,
                input_axis=weight.axes.input,
                pattern=str(self.pattern),
                criterion=self.criterion,
                sparsity=share,
            )

    def unfit(self) -> Iterator[Skip]:
        for weight in self.chosen:
            defect = self.pattern.defect(weight.shape, weight.axes)
            if defect is not None:
                yield Skip("GP329", weight.name, f"does not take pattern '{self.pattern}': it has {defect}")

    def _shares(self) -> list[float]:
        if isinstance(self.pattern, NM):
            counts = (self.pattern.pruned_count(weight.shape, weight.axes, 0) for weight in self.weights)
            return [count / weight.tensor.size for count, weight in zip(counts, self.weights, strict=True)]
        return self._global_shares() if self.scope == "global" else [self.sparsity] * len(self.weights)

    def _global_shares(self) -> list[float]:
        """One threshold for all whose share it does not exceed the most; those that it would have the most."""
        sizes = [scores.size for scores in self._scores()]
        most = [size - math.ceil(self.min_kept * size) for size in sizes]
        total, full = round(sum(sizes) * self.sparsity), set[int]()
        if total > sum(most):
            reason = f"{total} of {sum(sizes)} are to go, at most {sum(most)} can"
            raise RecipeError(f"min_kept is {self.min_kept:g}, but sparsity {self.sparsity:g}: {reason}", code="GP723")
        while True:
            counts = self._counts(total - sum(most[index] for index in full), full)
            over = {index for index, count in enumerate(counts) if count > most[index]}
            if not over:
                break
            full |= over
        return [
            (most[index] if index in full else count) / size
            for index, (count, size) in enumerate(zip(counts, sizes, strict=True))
        ]

    def _counts(self, total: int, full: Collection[int]) -> list[int]:
        """How many go of each weight that is not full; ties go in the order of weights and, within one, of elements."""
        if total == 0:
            return [0] * len(self.weights)

        def pieces() -> Iterator[Scores]:
            return (scores for index, scores in enumerate(self._scores()) if index not in full)

        limit = threshold(pieces, total)
        ties, counts = total - limit.below, []
        for index, scores in enumerate(self._scores()):
            taken = 0 if index in full else min(ties, int(np.count_nonzero(scores == limit.value)))
            ties -= taken
            counts.append(0 if index in full else int(np.count_nonzero(scores < limit.value)) + taken)
        return counts

    def _scores(self) -> Iterator[Scores]:
        criterion = parse_criterion(self.criterion)
        for weight in self.weights:
            scores = criterion.score(WeightValues(weight.name, weight.real_values()))
            yield self.pattern.unit_scores(scores, weight.axes)


def _groups(recipe: Recipe, weights: Iterable[LinearWeight]) -> Iterator[_Group]:
    """Each rule's weights, then those that no rule names; where no sparsity is said, nothing is planned."""
    left = list(weights)
    for rule in (*recipe.rules, None):
        taken = [weight for weight in left if rule is None or _matches_any(rule.targets, weight)]
        left = [weight for weight in left if weight not in taken]
        own = {} if rule is None else rule.model_dump(exclude_none=True)
        pattern = parse_pattern(own.get("pattern", recipe.pattern))
        sparsity = pattern.sparsity if isinstance(pattern, NM) else own.get("sparsity", recipe.sparsity)
        if sparsity is not None and taken:
            criterion = own.get("criterion", recipe.criterion)
            scope, pattern = _scoped(own.get("scope", recipe.scope), criterion, pattern)
            yield _Group(taken, sparsity, pattern, scope, criterion, recipe.min_kept)


def _scoped(scope: str | None, criterion: str, pattern: Pattern) -> tuple[str, Pattern]:
    """The scope, that of the criterion where none is said, and the pattern in it: rows of N:M are alike by themselves.

    Raises:
        RecipeError: Blocks are to be counted in rows (GP332), or a criterion that needs samples over all weights
            (GP333).
    """
    by_default = parse_criterion(criterion)
    if scope == "global" and by_default.needs_samples:
        message = f"scope 'global' compares all weights at once, but criterion '{criterion}' sees them one by one"
        raise RecipeError(f"{message}; use scope 'layer' or 'row', or graphprune.allocate with samples", code="GP333")
    if isinstance(pattern, Block) and scope == "row":
        raise RecipeError(f"scope 'row' with pattern '{pattern}', expected 'unstructured' or N:M", code="GP332")
    chosen = scope or by_default.scope
    return chosen, Unstructured(per_row=True) if chosen == "row" and pattern == Unstructured() else pattern


def _is_chosen(recipe: Recipe, weight: LinearWeight) -> bool:
    wanted = not recipe.targets or _matches_any(recipe.targets, weight)
    return wanted and not _matches_any(recipe.ignore, weight)


def _matches_any(patterns: Iterable[str], weight: LinearWeight) -> bool:
    names = _names(weight)
    return any(matches(pattern, names) for pattern in patterns)


def _names(weight: LinearWeight) -> list[str]:
    """What a name pattern is held against."""
    return [weight.name, *(use.node.name or "" for use in weight.uses), *(use.node.op_type for use in weight.uses)]


def _verify_patterns(recipe: Recipe, names: Sequence[Sequence[str]], skips: Sequence[Skip]) -> None:
    """Refuse what matches nothing: it is misspelt more often than meant."""
    rules = [("targets", pattern) for rule in recipe.rules for pattern in rule.targets]
    targets = [("targets", pattern) for pattern in recipe.targets]
    for key, pattern in (*targets, *rules, *(("ignore", pattern) for pattern in recipe.ignore)):
        if any(matches(pattern, group) for group in names):
            continue
        skip = next((skip for skip in skips if matches(pattern, [skip.node])), None)
        if skip is not None and key == "ignore":
            continue
        every = [name for group in names for name in group]
        reason = f"only weights that stay dense: {skip}" if skip else f"nothing{suggestion(pattern, every)}"
        raise RecipeError(f"recipe: {key}: '{pattern}' matches {reason}", code="GP321")


def _why_nothing(recipe: Recipe, chosen: Sequence[LinearWeight], skips: Sequence[Skip]) -> str:
    if chosen:
        return "the recipe gives no sparsity" + ("" if recipe.rules else "; set 'sparsity' or 'rules'")
    if recipe.ignore or recipe.targets:
        return "targets and ignore leave no weight"
    return f"the model has no prunable weight{''.join(f'; {skip}' for skip in skips[:1])}"
