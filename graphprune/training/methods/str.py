"""STR: soft thresholds that are learned (Kusupati et al. 2020, arXiv 2002.03231)."""

from __future__ import annotations

import torch
from torch import nn

from graphprune.errors import RecipeError
from graphprune.masks.patterns import Unstructured
from graphprune.planning.pruning_plan import WeightPlan
from graphprune.planning.training_settings import TrainingSettings
from graphprune.training.methods.base import WeightMask

START = -8.0
"""The first logit: a threshold of 3e-4, below most weights of a trained network."""


class SoftThreshold(WeightMask):
    """Shrinks every weight towards zero by a threshold, `sigmoid(threshold_logit)`, one a layer.

    The sparsity is what training makes of it: the optimizer's weight decay of the logits pulls them up to 0. Make the
    optimizer after preparing, with a group of its own for parameters named `threshold_logit`. The budget is not used.

    Raises:
        RecipeError: The pattern is not unstructured (GP703).
    """

    def __init__(self, planned: WeightPlan, settings: TrainingSettings) -> None:
        super().__init__(planned, settings)
        if self.pattern != Unstructured():
            message = f"weight '{planned.name}': method str takes pattern 'unstructured', not '{self.pattern}'"
            raise RecipeError(message, code="GP703")
        self.threshold_logit = nn.Parameter(torch.tensor(START))

    def masked(self, weight: torch.Tensor) -> torch.Tensor:
        """Return `sign(w) * relu(|w| - threshold)`."""
        shrunk = weight.sign() * torch.relu(weight.abs() - self.threshold_logit.sigmoid())
        return torch.where(self.ramp().ratio > 0, shrunk, weight) if torch.compiler.is_compiling() else shrunk

    def hard_mask(self, weight: torch.Tensor) -> torch.Tensor:
        """Return which weights lie above the threshold."""
        return weight.abs() > self.threshold_logit.sigmoid()

    def hardened(self, weight: torch.Tensor) -> torch.Tensor:
        """Return what the network was trained with, which has zeros."""
        return self.masked(weight)
