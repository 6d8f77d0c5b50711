"""Masks of whole channels: one a coupled group, shared by all parameters that make or carry the channels."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import nn

from graphprune.analysis.channels import ChannelSlice
from graphprune.errors import RecipeError
from graphprune.masks.pdp import channel_mask, channel_scores
from graphprune.masks.torch_operators import soft_units
from graphprune.planning.channels.plan import DEFAULT_CHANNEL_CRITERION, ChannelPlan
from graphprune.planning.training_settings import TrainingSettings
from graphprune.training.methods.base import ParameterMask, Scheduled, is_idle, refuse_export

if TYPE_CHECKING:
    from graphprune.training.sites import Site


@dataclass(frozen=True)
class ChannelPart:
    """What one parameter has of the channels of a group; numbers only, because `torch.compile` reads it.

    Attributes:
        axis: Of the parameter.
        places: The indices of each channel on it, int64 [channels, repeat].
        start: The first of them, where each channel has one index and they lie together.
    """

    axis: int
    places: torch.Tensor = field(compare=False)
    start: int | None

    @classmethod
    def of(cls, part: ChannelSlice) -> ChannelPart:
        """Return what `part` of a parameter is."""
        return cls(part.axis, torch.from_numpy(part.indices()), part.start if part.is_consecutive else None)

    def rows(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the elements of each channel, [channels, elements]; a view where they lie together."""
        moved, size = weight.movedim(self.axis, 0), self.places.shape[0]
        if self.start is not None:
            return moved.narrow(0, self.start, size).flatten(1)
        return moved[self._indices(weight)].reshape(size, -1)

    def factor(self, mask: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Return what the parameter is multiplied by: the mask at its channels, one elsewhere; it broadcasts."""
        spread = mask.repeat_interleave(self.places.shape[1])
        along = mask.new_ones(weight.shape[self.axis]).index_copy(0, self._indices(weight), spread)
        return along.reshape(-1, *[1] * (weight.dim() - 1 - self.axis))

    def _indices(self, weight: torch.Tensor) -> torch.Tensor:
        return self.places.reshape(-1).to(weight.device)


class ChannelMask(Scheduled, abc.ABC):
    """The mask over the channels of one group.

    Args:
        planned: The group and its budget.
        settings: Of the training.

    Attributes:
        size: The number of channels.
        producers: The weights that make the channels, with what each has of them; set once they have their masks.

    Raises:
        RecipeError: The criterion has no gradient (GP703).
    """

    def __init__(self, planned: ChannelPlan, settings: TrainingSettings) -> None:
        super().__init__(planned.group, planned.sparsity, settings)
        if planned.criterion != DEFAULT_CHANNEL_CRITERION or planned.channels is not None:
            chosen = "a list of channels" if planned.channels is not None else f"criterion '{planned.criterion}'"
            message = f"group '{planned.group}': {chosen}, training takes criterion '{DEFAULT_CHANNEL_CRITERION}'"
            raise RecipeError(message, code="GP703")
        self.size = planned.size
        self.producers: tuple[tuple[Site, ChannelPart], ...] = ()

    @abc.abstractmethod
    def forward(self) -> torch.Tensor:
        """Return the mask of the present weights, [channels]."""

    def advance(self, ratio: float, progress: float) -> None:
        """Follow a step of the schedule."""
        self.follow(ratio, progress)

    def scores(self) -> torch.Tensor:
        """Return what each channel is worth, the root mean square of its weights; differentiable."""
        return channel_scores([part.rows(site.whole_parameter()) for site, part in self.producers])

    @torch.no_grad()
    def keep(self, share: float | None = None) -> torch.Tensor:
        """Return which channels stay, bool [channels], with exact counts; among equals those of lower index go first.

        Args:
            share: Of the channels that go; the budget, if it is not given.
        """
        scores = channel_scores([part.rows(site.weight().double()) for site, part in self.producers])
        pruned = round(self.size * (self.budget if share is None else share))
        keep = torch.ones(self.size, dtype=torch.bool, device=scores.device)
        keep[scores.argsort(stable=True)[:pruned]] = False
        return keep

    def extra_repr(self) -> str:
        """Return what `print` shows of it."""
        return f"{self.name}, {self.size} channels, budget={self.budget:g}, ratio={self.ratio:g}"


class SoftChannelMask(ChannelMask):
    """PDP on channels: `sigmoid((n² - t²) / temperature)` of their root mean squares n."""

    def forward(self) -> torch.Tensor:
        """Return the soft mask; gradients flow to all weights of the group."""
        refuse_export(self.name)
        if torch.compiler.is_compiling():
            return soft_units(self.scores(), self.ramp())
        temperature = self.settings.temperature_at(self.progress)
        return channel_mask(self.scores(), budget=self.budget, ratio=self.ratio, temperature=temperature)


class GradualChannelMask(ChannelMask):
    """Hard masks of the lowest scores, chosen anew at every step of the schedule and fixed in between."""

    chosen: torch.Tensor

    def __init__(self, planned: ChannelPlan, settings: TrainingSettings) -> None:
        super().__init__(planned, settings)
        self.register_buffer("chosen", torch.ones(planned.size))

    def forward(self) -> torch.Tensor:
        """Return the mask as it stands."""
        return self.chosen

    def advance(self, ratio: float, progress: float) -> None:
        """Choose what stays at the present ratio."""
        super().advance(ratio, progress)
        self.chosen = self.keep(self.budget * ratio).to(self.chosen)


class ChannelCarrier(ParameterMask):
    """Multiplies one parameter by the masks of the groups whose channels it makes or carries.

    Args:
        parts: Each group with what the parameter has of its channels.
        owned: The groups whose state is saved with this parameter: each with one, for formats without shared tensors.
    """

    def __init__(self, parts: Sequence[tuple[ChannelMask, ChannelPart]], owned: Sequence[ChannelMask]) -> None:
        super().__init__()
        self.masks = nn.ModuleList(owned)
        self._parts = tuple(parts)

    def masked(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the parameter times the masks; groups of which nothing is asked for yet have none."""
        masked = weight
        for mask, part in self._parts:
            if not is_idle(mask):
                masked = (masked * part.factor(mask(), weight)).to(weight.dtype)
        return masked

    def hardened(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the parameter with zeros in the channels that go."""
        hard = weight
        for mask, part in self._parts:
            hard = torch.where(part.factor(mask.keep(), weight), hard, 0)
        return hard


CHANNEL_METHODS: dict[str, type[ChannelMask]] = {"pdp": SoftChannelMask, "gmp": GradualChannelMask}
"""By the name that settings give."""
