"""From a recipe and a model to the number of channels of each group that go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx_ir as ir

from graphprune.analysis.channels import ChannelGroup, channel_groups
from graphprune.analysis.channels.cost import ChannelCost
from graphprune.analysis.channels.values import constant_values
from graphprune.diagnostics import Skip
from graphprune.errors import RecipeError
from graphprune.planning.channels.budgets import ChannelScope, solve_counts
from graphprune.planning.channels.names import NamedGroups, listed_channels
from graphprune.planning.channels.options import ChannelOptions
from graphprune.planning.channels.plan import ChannelPlan
from graphprune.planning.recipe import Recipe


def prunable_groups(model: ir.Model) -> tuple[list[ChannelGroup], list[Skip]]:
    """Return the groups whose masked channels are zero wherever they are read, and why the others stay."""
    groups, skips = channel_groups(model)
    skips += [Skip("GP379", group.name, group.nonzero) for group in groups if group.nonzero is not None]
    return [group for group in groups if group.nonzero is None], skips


def plan_channels(model: ir.Model, recipe: Recipe) -> tuple[ChannelPlan, ...]:
    """Decide how many channels of each group go, and which where the recipe lists them.

    Raises:
        RecipeError: A pattern matches nothing (GP321), a group cannot be ranked (GP323, GP338), a listed index is none
            of a prunable channel (GP338), nothing is left to prune (GP326), or the share asked for cannot be reached
            (GP339).
    """
    groups, skips = prunable_groups(model)
    named = NamedGroups(groups, constant_values(model))
    named.verify(recipe, skips)
    listed = listed_channels(recipe.channels, named, skips)
    open_groups = [group for group in groups if group.name not in listed and named.is_chosen(recipe, group)]
    counts = _counts(model, recipe, named, groups, open_groups, listed)
    if not any(counts.values()):
        reason = f"; {skips[0]}" if skips and not groups else ""
        raise RecipeError(f"nothing to prune: no channel of {len(groups)} groups would go{reason}", code="GP326")
    planned = [group for group in groups if group.name in listed or group in open_groups]
    return tuple(_plan(group, recipe.channels, counts[group.name], listed.get(group.name)) for group in planned)


def _counts(
    model: ir.Model,
    recipe: Recipe,
    named: NamedGroups,
    groups: Sequence[ChannelGroup],
    chosen: Sequence[ChannelGroup],
    listed: dict[str, tuple[int, ...]],
) -> dict[str, int]:
    """How many channels of each group go."""
    fixed = dict.fromkeys((group.name for group in groups), 0) | {name: len(each) for name, each in listed.items()}
    scopes = list(_scopes(recipe, named, chosen))
    if recipe.channels.share_of == "channels":
        return fixed | {name: count for scope in scopes for name, count in scope.counts(scope.sparsity).items()}
    if recipe.sparsity is None:
        raise RecipeError(f"recipe: a share of {recipe.channels.share_of} needs 'sparsity'", code="GP337")
    cost = ChannelCost.of(model, groups)
    measure = cost.macs if recipe.channels.share_of == "macs" else cost.parameters

    def counts_at(level: float) -> dict[str, int]:
        return fixed | {name: count for scope in scopes for name, count in scope.counts(level).items()}

    def removed(counts: dict[str, int]) -> float:
        return 1 - measure([counts[group.name] for group in groups]) / measure([0] * len(groups))

    return solve_counts(counts_at, removed, recipe.sparsity, recipe.channels.share_of)


def _scopes(recipe: Recipe, named: NamedGroups, groups: Sequence[ChannelGroup]) -> Iterator[ChannelScope]:
    """Each rule's groups, then those that no rule names; where no sparsity is said, nothing goes."""
    left = list(groups)
    for rule in (*recipe.rules, None):
        taken = [group for group in left if rule is None or named.matches_any(rule.targets, group)]
        left = [group for group in left if group not in taken]
        sparsity = recipe.sparsity if rule is None or rule.sparsity is None else rule.sparsity
        scope = recipe.scope if rule is None or rule.scope is None else rule.scope
        if sparsity is not None and taken:
            yield ChannelScope(taken, sparsity, scope == "global", recipe.channels, named.values)


def _plan(group: ChannelGroup, options: ChannelOptions, pruned: int, channels: tuple[int, ...] | None) -> ChannelPlan:
    return ChannelPlan(
        group=group.name,
        size=group.size,
        criterion=options.criterion,
        sparsity=pruned / group.size,
        channels=channels,
    )
