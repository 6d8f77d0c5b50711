"""What a pruning plan says about one group of coupled channels."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Self

import onnx_ir as ir
from pydantic import AfterValidator, Field, WithJsonSchema, computed_field, model_validator

from graphprune.analysis.channels import ChannelGroup, channel_groups
from graphprune.errors import RecipeError
from graphprune.masks.channel_criteria import CHANNEL_CRITERIA
from graphprune.planning.documents import Document, suggestion

DEFAULT_CHANNEL_CRITERION = "l2"


def _known_criterion(text: str) -> str:
    if text not in CHANNEL_CRITERIA:
        expected = ", ".join(f"'{name}'" for name in CHANNEL_CRITERIA)
        raise RecipeError(f"unknown criterion of channels '{text}', expected one of {expected}", code="GP327")
    return text


ChannelCriterionText = Annotated[
    str, AfterValidator(_known_criterion), WithJsonSchema({"type": "string", "enum": list(CHANNEL_CRITERIA)})
]


class ChannelPlan(Document):
    """What happens to one group of coupled channels: they stay or go together.

    Attributes:
        group: Its name, that of the first weight.
        size: The number of channels.
        criterion: What a channel is worth.
        sparsity: The share of channels that go, in [0, 1).
        channels: Which go, whatever the criterion says.
    """

    group: str
    size: int = Field(ge=1)
    criterion: ChannelCriterionText = DEFAULT_CHANNEL_CRITERION
    sparsity: float = Field(ge=0, lt=1)
    channels: tuple[int, ...] | None = None

    @computed_field  # type: ignore[prop-decorator] # pydantic's documented use
    @cached_property
    def pruned(self) -> int:
        """The number of channels that go; written into files to be read, and only checked when it is read back."""
        return round(self.size * self.sparsity)

    @model_validator(mode="before")
    @classmethod
    def _drop_count(cls, data: dict[str, object]) -> dict[str, object]:
        stated, size, sparsity = data.get("pruned"), data.get("size"), data.get("sparsity")
        if isinstance(stated, int) and isinstance(size, int) and isinstance(sparsity, int | float):
            found = round(size * sparsity)
            if found != stated:
                message = (
                    f"group '{data.get('group')}': {stated} channels pruned, but sparsity {sparsity} makes {found}"
                )
                raise RecipeError(f"{message}; edit the sparsity and leave 'pruned' out", code="GP325")
        return {key: value for key, value in data.items() if key != "pruned"}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.pruned == self.size:
            reason = f"all {self.size} channels would go at sparsity {self.sparsity:g}"
            raise RecipeError(f"group '{self.group}' would be left empty: {reason}", code="GP322")
        if self.channels is not None:
            self._check_channels(self.channels)
        return self

    def _check_channels(self, channels: tuple[int, ...]) -> None:
        outside = [channel for channel in channels if not 0 <= channel < self.size]
        if outside or len(set(channels)) < len(channels):
            reason = f"channel {outside[0]}, expected 0 to {self.size - 1}" if outside else "a channel twice"
            raise RecipeError(f"group '{self.group}' lists {reason}", code="GP325")
        if len(channels) != self.pruned:
            reason = f"lists {len(channels)} channels, sparsity {self.sparsity:g} makes {self.pruned}"
            raise RecipeError(f"group '{self.group}' {reason}", code="GP325")


def resolve_channels(plans: tuple[ChannelPlan, ...], model: ir.Model) -> list[tuple[ChannelPlan, ChannelGroup]]:
    """Return each plan with its group in `model`.

    Raises:
        RecipeError: The model has no such group, or one of another size (GP324); or a masked channel of it would not be
            zero where it is read (GP379).
    """
    groups = {group.name: group for group in channel_groups(model)[0]} if plans else {}
    found = []
    for planned in plans:
        group = groups.get(planned.group)
        if group is None:
            hint = suggestion(planned.group, groups)
            raise RecipeError(f"plan: the model has no channel group '{planned.group}'{hint}", code="GP324")
        if group.size != planned.size:
            message = f"plan: group '{group.name}' has {group.size} channels in the model, expected {planned.size}"
            raise RecipeError(message, code="GP324")
        if group.nonzero is not None:
            raise RecipeError(f"plan: group '{group.name}': {group.nonzero}", code="GP379")
        found.append((planned, group))
    return found
