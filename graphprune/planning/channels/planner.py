"""From a recipe and a model to the number of channels of each group that go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import onnx_ir as ir

from graphprune.analysis.channels import ChannelGroup, channel_groups
from graphprune.analysis.channels.cost import ChannelCost
from graphprune.analysis.channels.values import constant_values
from graphprune.diagnostics import Skip
from graphprune.errors import RecipeError
from graphprune.masks.channel_criteria import FLAP, weakest
from graphprune.planning.channels.budgets import ChannelScope, Counts, Fluctuations, solve_counts
from graphprune.planning.channels.names import NamedGroups, listed_channels
from graphprune.planning.channels.options import ChannelOptions
from graphprune.planning.channels.plan import ChannelPlan
from graphprune.planning.recipe import Recipe


def prunable_groups(model: ir.Model) -> tuple[list[ChannelGroup], list[Skip]]:
    """Return the groups whose masked channels are zero wherever they are read, and why the others stay."""
    groups, skips = channel_groups(model)
    skips += [Skip("GP379", group.name, group.nonzero) for group in groups if group.nonzero is not None]
    return [group for group in groups if group.nonzero is None], skips


def plan_channels(model: ir.Model, recipe: Recipe, fluctuations: Fluctuations | None = None) -> tuple[ChannelPlan, ...]:
    """Decide how many channels of each group go, and which where the recipe lists them or the criterion is by samples.

    Args:
        model: The model.
        recipe: Of channels.
        fluctuations: Of the groups that samples say something of; of others nothing goes, unless it is listed.

    Raises:
        RecipeError: A pattern matches nothing (GP321), a group cannot be ranked (GP306, GP323, GP338), a listed index
            is none of a prunable channel (GP338), nothing is left to prune (GP326), or the share asked for cannot be
            reached (GP339).
    """
    groups, skips = prunable_groups(model)
    named = NamedGroups(groups, constant_values(model))
    named.verify(recipe, skips)
    listed = listed_channels(recipe.channels, named, skips)
    open_groups = [group for group in groups if group.name not in listed and named.is_chosen(recipe, group)]
    if fluctuations is not None:
        open_groups = [group for group in open_groups if group.name in fluctuations]
    costs = _costs(model, recipe, groups)
    scopes = list(_scopes(recipe, named, open_groups, costs, fluctuations or {}))
    counts = _counts(model, recipe, scopes, groups, listed)
    if not any(counts.values()):
        reason = f"; {skips[0]}" if skips and not groups else ""
        raise RecipeError(f"nothing to prune: no channel of {len(groups)} groups would go{reason}", code="GP326")
    which = listed | _weakest(recipe, scopes, counts)
    planned = [group for group in groups if group.name in listed or group in open_groups]
    return tuple(_plan(group, recipe.channels, counts[group.name], which.get(group.name)) for group in planned)


def _costs(model: ir.Model, recipe: Recipe, groups: Sequence[ChannelGroup]) -> dict[str, float]:
    """What one channel of each group counts where all are compared: its parameters where scores are of no size."""
    if recipe.channels.criterion != FLAP:
        return {group.name: 1.0 for group in groups}
    cost, none = ChannelCost.of(model, groups), [0] * len(groups)
    alone = ([*none[:number], 1, *none[number + 1 :]] for number in range(len(groups)))
    whole = cost.parameters(none)
    return {group.name: whole - cost.parameters(one) for group, one in zip(groups, alone, strict=True)}


def _weakest(recipe: Recipe, scopes: Sequence[ChannelScope], counts: Counts) -> dict[str, tuple[int, ...]]:
    """Which channels go where only samples say that; elsewhere weights do, when these are pruned."""
    if recipe.channels.criterion != FLAP:
        return {}
    pairs = [(scope, group) for scope in scopes for group in scope.groups]
    return {group.name: weakest(scope.scores(group), counts[group.name]) for scope, group in pairs}


def _counts(
    model: ir.Model,
    recipe: Recipe,
    scopes: Sequence[ChannelScope],
    groups: Sequence[ChannelGroup],
    listed: dict[str, tuple[int, ...]],
) -> Counts:
    """How many channels of each group go."""
    fixed = dict.fromkeys((group.name for group in groups), 0) | {name: len(each) for name, each in listed.items()}
    if recipe.channels.share_of == "channels":
        return fixed | {name: count for scope in scopes for name, count in scope.counts(scope.sparsity).items()}
    if recipe.sparsity is None:
        raise RecipeError(f"recipe: a share of {recipe.channels.share_of} needs 'sparsity'", code="GP337")
    cost = ChannelCost.of(model, groups)
    measure = cost.macs if recipe.channels.share_of == "macs" else cost.parameters

    def counts_at(level: float) -> Counts:
        return fixed | {name: count for scope in scopes for name, count in scope.counts(level).items()}

    def removed(counts: Counts) -> float:
        return 1 - measure([counts[group.name] for group in groups]) / measure([0] * len(groups))

    return solve_counts(counts_at, removed, recipe.sparsity, recipe.channels.share_of)


def _scopes(
    recipe: Recipe,
    named: NamedGroups,
    groups: Sequence[ChannelGroup],
    costs: Mapping[str, float],
    fluctuations: Fluctuations,
) -> Iterator[ChannelScope]:
    """Each rule's groups, then those that no rule names; where no sparsity is said, nothing goes."""
    by_default = "global" if recipe.channels.criterion == FLAP else "layer"
    left = list(groups)
    for rule in (*recipe.rules, None):
        taken = [group for group in left if rule is None or named.matches_any(rule.targets, group)]
        left = [group for group in left if group not in taken]
        sparsity = recipe.sparsity if rule is None or rule.sparsity is None else rule.sparsity
        scope = (None if rule is None else rule.scope) or recipe.scope or by_default
        if sparsity is not None and taken:
            is_global = scope == "global"
            yield ChannelScope(taken, sparsity, is_global, recipe.channels, named.values, costs, fluctuations)


def _plan(group: ChannelGroup, options: ChannelOptions, pruned: int, channels: tuple[int, ...] | None) -> ChannelPlan:
    return ChannelPlan(
        group=group.name,
        size=group.size,
        criterion=options.criterion,
        sparsity=pruned / group.size,
        channels=channels,
    )
