"""Matching the names in a recipe with channel groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from graphprune.analysis.channels import ChannelGroup
from graphprune.diagnostics import Skip
from graphprune.errors import RecipeError
from graphprune.planning.channels.options import ChannelOptions
from graphprune.planning.documents import suggestion
from graphprune.planning.recipe import Recipe, matches


@dataclass(frozen=True)
class NamedGroups:
    """Groups, and what name patterns are held against.

    Attributes:
        groups: The groups.
        values: The constants of the model by name.
    """

    groups: Sequence[ChannelGroup]
    values: dict[str, ir.Value]

    def names(self, group: ChannelGroup) -> list[str]:
        """Return the names of the weights that make the channels, of the nodes that read these, and their operators."""
        nodes = [use.node for each in group.producers for use in self.values[each.name].uses()]
        weights = [each.name for each in group.producers]
        return [*weights, *(node.name or "" for node in nodes), *(node.op_type for node in nodes)]

    def matches_any(self, patterns: Iterable[str], group: ChannelGroup) -> bool:
        """Return whether a name pattern fits the group."""
        names = self.names(group)
        return any(matches(pattern, names) for pattern in patterns)

    def is_chosen(self, recipe: Recipe, group: ChannelGroup) -> bool:
        """Return whether the recipe's targets have the group and its exceptions have it not."""
        wanted = not recipe.targets or self.matches_any(recipe.targets, group)
        return wanted and not self.matches_any(recipe.ignore, group)

    def verify(self, recipe: Recipe, skips: Sequence[Skip]) -> None:
        """Refuse what matches nothing: it is misspelt more often than meant.

        Raises:
            RecipeError: A name pattern matches no group (GP321).
        """
        targets = [pattern for rule in recipe.rules for pattern in rule.targets]
        for key, pattern in (
            *(("targets", each) for each in (*recipe.targets, *targets)),
            *(("ignore", each) for each in recipe.ignore),
        ):
            if not any(self.matches_any([pattern], group) for group in self.groups):
                raise RecipeError(f"recipe: {key}: '{pattern}' matches {self.nothing(pattern, skips)}", code="GP321")

    def nothing(self, name: str, skips: Sequence[Skip]) -> str:
        """Say what a name stands for that fits no group."""
        skip = next((skip for skip in skips if matches(name, [skip.node])), None)
        every = [each for group in self.groups for each in self.names(group)]
        return f"only channels that stay: {skip}" if skip else f"nothing{suggestion(name, every)}"


def listed_channels(options: ChannelOptions, named: NamedGroups, skips: Sequence[Skip]) -> dict[str, tuple[int, ...]]:
    """Return the channels that index lists name, by group; an index stands for the whole channel that it is part of.

    Raises:
        RecipeError: An index is no prunable channel's or is repeated (GP338), or a whole group is listed (GP322).
    """
    found: dict[str, set[int]] = {}
    for name, indices in options.indices.items():
        if len(set(indices)) < len(indices):
            raise RecipeError(f"recipe: indices of '{name}': an index is listed twice", code="GP338")
        owners = _owners(name, named)
        if not owners:
            raise RecipeError(f"recipe: indices: '{name}' is {named.nothing(name, skips)}", code="GP338")
        for index in indices:
            if index not in owners:
                reason = f"index {index} is no prunable channel, expected one of 0 to {max(owners)}"
                raise RecipeError(f"recipe: indices of '{name}': {reason}", code="GP338")
            owner, channel = owners[index]
            found.setdefault(owner, set()).add(channel)
    for group in named.groups:
        if len(found.get(group.name, ())) == group.size:
            message = f"group '{group.name}' would be left empty: all {group.size} channels are listed"
            raise RecipeError(message, code="GP322")
    return {owner: tuple(sorted(channels)) for owner, channels in found.items()}


def _owners(name: str, named: NamedGroups) -> dict[int, tuple[str, int]]:
    """Return which channel of which group each output of a weight or node belongs to."""
    owners = {}
    for group in named.groups:
        for each in group.producers:
            uses = named.values[each.name].uses()
            if name == each.name or name in {use.node.name for use in uses}:
                for channel, indices in enumerate(each.indices()):
                    owners.update({int(index): (group.name, channel) for index in indices})
    return owners
