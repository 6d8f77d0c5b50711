"""The base of trained masks: the state of the schedule, and the parametrization through which a parameter is read."""

from __future__ import annotations

import abc
from typing import Any

import torch
from torch import nn

from graphprune.masks import pdp
from graphprune.masks.patterns import parse_pattern
from graphprune.planning.pruning_plan import WeightPlan
from graphprune.planning.training_settings import TrainingSettings


class Scheduled(nn.Module):
    """A mask that the pruner drives through the schedule.

    Attributes:
        name: Of the weight, or of the group of channels.
        budget: The share of zeros at the end, in [0, 1).
        ratio: How much of the budget is asked for now, in [0, 1]; at 0 nothing is masked.
        progress: How far the ramp is in time, in [0, 1].
    """

    def __init__(self, name: str, budget: float, settings: TrainingSettings) -> None:
        super().__init__()
        self.name = name
        self.settings = settings
        self.budget = budget
        self.ratio = 0.0
        self.progress = 0.0

    def get_extra_state(self) -> dict[str, Any]:
        """Return where the schedule stands; saved with the module."""
        return {"budget": self.budget, "ratio": self.ratio, "progress": self.progress}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore what `get_extra_state` returned."""
        self.budget, self.ratio, self.progress = (float(state[key]) for key in ("budget", "ratio", "progress"))


class ParameterMask(nn.Module, abc.ABC):
    """A parametrization of one parameter; `forward` gives what the network computes with."""

    _hard: torch.Tensor | None = None

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the masked parameter, of its shape and type."""
        return self.masked(weight) if self._hard is None else self._hard

    def replace(self, hardened: torch.Tensor | None) -> None:
        """Let `forward` give that parameter from now on; None goes back to training."""
        self._hard = hardened

    @abc.abstractmethod
    def masked(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the parameter as the method masks it in training."""

    def advance(self, ratio: float, progress: float, weight: torch.Tensor) -> None:
        """Follow a step of the optimizer and of the schedule; `weight` is the dense parameter."""

    @abc.abstractmethod
    def hardened(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the parameter with its final zeros."""


class WeightMask(ParameterMask, Scheduled):
    """A mask of one weight.

    Args:
        planned: The weight, its pattern and its budget.
        settings: Of the training.
    """

    def __init__(self, planned: WeightPlan, settings: TrainingSettings) -> None:
        Scheduled.__init__(self, planned.name, planned.sparsity, settings)
        self.pattern = parse_pattern(planned.pattern)
        self.axes = planned.axes

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the masked weight; the weight itself where nothing is asked for yet."""
        return weight if self.ratio == 0 and self._hard is None else super().forward(weight)

    def mask(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the mask of `masked`, for reports."""
        return self.hard_mask(weight).to(weight.dtype)

    def hard_mask(self, weight: torch.Tensor) -> torch.Tensor:
        """Return which elements stay at the full budget, with exact counts."""
        return pdp.hard_mask(weight, pattern=self.pattern, axes=self.axes, budget=self.budget)

    def hardened(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the weight with its final zeros."""
        return torch.where(self.hard_mask(weight), weight, 0)

    def advance(self, ratio: float, progress: float, weight: torch.Tensor) -> None:
        """Follow a step of the optimizer and of the schedule; `weight` is the dense one."""
        self.ratio, self.progress = ratio, progress
        self.update(weight)

    def misplaced(self, size: int) -> float:  # noqa: ARG002 - of methods that estimate
        """Return what share of `size` elements may lie on the wrong side of the threshold, at most."""
        return 0.0

    def update(self, weight: torch.Tensor) -> None:
        """Choose anew what stays, where the method does that from step to step; `weight` is the dense one."""

    def extra_repr(self) -> str:
        """Return what `print` shows of it."""
        return f"{self.pattern}, budget={self.budget:g}, ratio={self.ratio:g}"
