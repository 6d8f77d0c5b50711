"""What every method of training masks is: a parametrization of one weight, driven by the pruner."""

from __future__ import annotations

import abc
from typing import Any

import torch
from torch import nn

from graphprune.masks import pdp
from graphprune.masks.patterns import parse_pattern
from graphprune.pruning_plan import WeightPlan
from graphprune.training_settings import TrainingSettings


class WeightMask(nn.Module, abc.ABC):
    """A parametrization of one weight; `forward` gives what the network computes with.

    Args:
        planned: The weight, its pattern and its budget.
        settings: Of the training.

    Attributes:
        budget: The share of zeros at the end, in [0, 1).
        ratio: How much of the budget is asked for now, in [0, 1]; at 0 the weight is dense.
        progress: How far the ramp is in time, in [0, 1].
    """

    def __init__(self, planned: WeightPlan, settings: TrainingSettings) -> None:
        super().__init__()
        self.name = planned.name
        self.pattern = parse_pattern(planned.pattern)
        self.axes = planned.axes
        self.settings = settings
        self.budget = planned.sparsity
        self.ratio = 0.0
        self.progress = 0.0
        self._hard: torch.Tensor | None = None

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the masked weight, of the weight's shape and type."""
        if self._hard is not None:
            return self._hard
        return weight if self.ratio == 0 else self.masked(weight)

    @abc.abstractmethod
    def masked(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the weight as the method masks it in training."""

    def mask(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the mask of `masked`, for reports."""
        return self.hard_mask(weight).to(weight.dtype)

    def hard_mask(self, weight: torch.Tensor) -> torch.Tensor:
        """Return which elements stay at the full budget, with exact counts."""
        return pdp.hard_mask(weight, pattern=self.pattern, axes=self.axes, budget=self.budget)

    def hardened(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the weight with its final zeros."""
        return torch.where(self.hard_mask(weight), weight, 0)

    def update(self, weight: torch.Tensor) -> None:
        """Follow a step of the optimizer, or of the schedule; `weight` is the dense one."""

    def replace(self, hardened: torch.Tensor | None) -> None:
        """Let `forward` give that weight from now on; None goes back to training."""
        self._hard = hardened

    def get_extra_state(self) -> dict[str, Any]:
        """Return where the schedule stands; saved with the module."""
        return {"budget": self.budget, "ratio": self.ratio, "progress": self.progress}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take up what `get_extra_state` returned."""
        self.budget, self.ratio, self.progress = (float(state[key]) for key in ("budget", "ratio", "progress"))

    def extra_repr(self) -> str:
        """Return what `print` shows of it."""
        return f"{self.pattern}, budget={self.budget:g}, ratio={self.ratio:g}"
