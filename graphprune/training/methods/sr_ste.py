"""SR-STE: training with a hard N:M mask and a straight-through gradient (Zhou et al. 2021, arXiv 2102.04010)."""

from __future__ import annotations

from typing import Any

import torch

from graphprune.errors import RecipeError
from graphprune.masks.patterns import NM
from graphprune.masks.torch_operators import hard_mask
from graphprune.planning.pruning_plan import WeightPlan
from graphprune.planning.training_settings import TrainingSettings
from graphprune.training.methods.base import WeightMask, refuse_export

DECAY = 2e-4
"""What pulls the weights that are masked towards zero: lambda_W of the paper's equation 9."""


class StraightThroughMask(WeightMask):
    """Multiplies by the N:M mask of the current weight; every weight gets the gradient, masked ones decay besides.

    Raises:
        RecipeError: The pattern is not N:M (GP703).
    """

    def __init__(self, planned: WeightPlan, settings: TrainingSettings) -> None:
        super().__init__(planned, settings)
        if not isinstance(self.pattern, NM):
            message = f"weight '{planned.name}': method sr-ste takes N:M patterns such as '2:4', not '{self.pattern}'"
            raise RecipeError(message, code="GP703")

    def masked(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the weight with zeros."""
        refuse_export(self.name)
        keep = self._keep(weight)
        masked: torch.Tensor = _StraightThrough.apply(weight, keep)  # type: ignore[no-untyped-call]
        return masked

    def _keep(self, weight: torch.Tensor) -> torch.Tensor:
        if not torch.compiler.is_compiling():
            return self.hard_mask(weight)
        ramp = self.ramp()
        return hard_mask(weight, ramp.budget, str(self.pattern), self.axes) | (ramp.ratio == 0)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 - torch's context
        ctx.save_for_backward(weight, keep)
        return torch.where(keep, weight, 0)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:  # noqa: ANN401
        weight, keep = ctx.saved_tensors
        return gradients[0] + DECAY * torch.where(keep, 0, weight), None
