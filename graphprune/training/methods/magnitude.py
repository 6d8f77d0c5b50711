"""Hard masks of the smallest magnitudes: gradual (GMP, Zhu and Gupta 2017, arXiv 1710.01878) and one-shot."""

from __future__ import annotations

import torch

from graphprune.masks import pdp
from graphprune.masks.patterns import NM
from graphprune.planning.pruning_plan import WeightPlan
from graphprune.planning.training_settings import TrainingSettings
from graphprune.training.methods.base import WeightMask


class GradualMask(WeightMask):
    """Zeroes the smallest weights; the mask is chosen anew at every step of the schedule, and fixed in between.

    The original schedule is the cubic ramp. Weights that are masked get no gradient and keep their value.
    """

    keep: torch.Tensor

    def __init__(self, planned: WeightPlan, settings: TrainingSettings) -> None:
        super().__init__(planned, settings)
        self.register_buffer("keep", torch.ones(planned.shape, dtype=torch.bool))

    def masked(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the weight with zeros."""
        return torch.where(self.keep, weight, 0)

    def mask(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the mask as it stands."""
        return self.keep.to(weight.dtype)

    def update(self, weight: torch.Tensor) -> None:
        """Choose what stays at the present ratio; groups of N:M lose one place after another."""
        share = self.budget * self.ratio
        pattern = self.pattern.relaxed(self.ratio) if isinstance(self.pattern, NM) else self.pattern
        if pattern is None:
            self.keep = torch.ones_like(self.keep)
        else:
            self.keep = pdp.hard_mask(weight, pattern=pattern, axes=self.axes, budget=share)


class OneShotMask(GradualMask):
    """Zeroes the smallest weights once, when the schedule starts; what is left is fine-tuned."""

    chosen: torch.Tensor

    def __init__(self, planned: WeightPlan, settings: TrainingSettings) -> None:
        super().__init__(planned, settings)
        self.register_buffer("chosen", torch.tensor(data=False))

    def hard_mask(self, weight: torch.Tensor) -> torch.Tensor:
        """Return what was chosen; what would be, where nothing was or an average of buffers blurred it."""
        now = super().hard_mask(weight)
        return self.keep if self.chosen and self.keep.count_nonzero() == now.count_nonzero() else now

    def update(self, weight: torch.Tensor) -> None:
        """Choose what stays, the first time that something is asked for."""
        if self.ratio > 0 and not self.chosen:
            self.keep = super().hard_mask(weight)
            self.chosen = torch.ones_like(self.chosen)
