"""PDP: the differentiable soft mask without parameters of its own (arXiv 2305.11203)."""

from __future__ import annotations

from typing import Any

import torch

from graphprune.masks import pdp
from graphprune.masks.patterns import NM
from graphprune.masks.torch_operators import soft_masked
from graphprune.masks.torch_threshold import ThresholdSearch, sampled_error
from graphprune.planning.pruning_plan import WeightPlan
from graphprune.planning.training_settings import TrainingSettings
from graphprune.training.methods.base import WeightMask, refuse_export


class SoftMask(WeightMask):
    """Multiplies the weight by `sigmoid((w² - t²) / temperature)`; t follows the weight at every forward pass."""

    def __init__(self, planned: WeightPlan, settings: TrainingSettings) -> None:
        super().__init__(planned, settings)
        self._search = ThresholdSearch(sampled=settings.threshold == "sampled")

    def masked(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the softly masked weight."""
        refuse_export(self.name)
        if torch.compiler.is_compiling():
            return soft_masked(weight, self.ramp(), str(self.pattern), self.axes)
        return pdp.soft_masked(weight, **self._arguments(), search=self._search)

    def mask(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the soft mask."""
        return pdp.soft_mask(weight, **self._arguments())

    def misplaced(self, size: int) -> float:
        """Return the error bound of a sampled threshold; N:M groups are always exact."""
        return sampled_error(size) if self._search.sampled and not isinstance(self.pattern, NM) else 0.0

    def _arguments(self) -> dict[str, Any]:
        return {
            "pattern": self.pattern,
            "axes": self.axes,
            "budget": self.budget,
            "ratio": self.ratio,
            "temperature": self.settings.temperature_at(self.progress),
        }
