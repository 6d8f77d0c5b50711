"""A step of a language model with its keys and values as plain inputs and outputs; needs torch and transformers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import DynamicCache


class DecoderStep(nn.Module):
    """The next token's scores, and the keys and values that grew by one."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, past: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scores [1, 1, words] and what `past` [2 * layers, 1, heads, tokens, size] becomes."""
        pairs = [(past[i], past[i + 1]) for i in range(0, past.shape[0], 2)]
        cache: Any = DynamicCache(pairs)
        result = self.model(input_ids=input_ids, past_key_values=cache, use_cache=True)
        grown = [each for layer in cache.layers for each in (layer.keys, layer.values)]
        return result.logits, torch.stack(grown)
