"""PDP: the differentiable soft mask without parameters of its own (arXiv 2305.11203)."""

from __future__ import annotations

from typing import Any

import torch

from graphprune.masks import pdp
from graphprune.training.methods.base import WeightMask


class SoftMask(WeightMask):
    """Multiplies the weight by `sigmoid((w² - t²) / temperature)`; t follows the weight at every forward pass."""

    def masked(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the softly masked weight."""
        return pdp.soft_masked(weight, **self._arguments(), sampled=self.settings.threshold == "sampled")

    def mask(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the soft mask."""
        return pdp.soft_mask(weight, **self._arguments())

    def _arguments(self) -> dict[str, Any]:
        return {
            "pattern": self.pattern,
            "axes": self.axes,
            "budget": self.budget,
            "ratio": self.ratio,
            "temperature": self.settings.temperature_at(self.ratio),
        }
