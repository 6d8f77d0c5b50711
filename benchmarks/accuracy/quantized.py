"""Fake quantizers of torch in front of every product of a network: 8 bits for its input and for its weight."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.ao.nn import qat
from torch.ao.quantization import QConfig, default_fused_per_channel_wt_fake_quant
from torch.ao.quantization.fake_quantize import FusedMovingAvgObsFakeQuantize

_CHILDREN: dict[type[nn.Module], Any] = {nn.Conv2d: qat.Conv2d, nn.Linear: qat.Linear}


class Input(FusedMovingAvgObsFakeQuantize):
    """That of an activation, which observes in training only."""

    def train(self, mode: bool = True) -> Input:  # noqa: FBT001, FBT002 - torch's own signature
        """Follow the module's mode."""
        self.enable_observer(mode)
        super().train(mode)
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Quantize in float32: autocast hands halves over."""
        quantized: torch.Tensor = super().forward(x.float())
        return quantized


def quantize_aware(module: nn.Module) -> None:
    """Replace convolutions and linear layers by those that quantize; weights keep their names."""
    activation = partial(Input, quant_min=0, quant_max=255)
    config: Any = QConfig(activation, default_fused_per_channel_wt_fake_quant)  # type: ignore[no-untyped-call]
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child) in _CHILDREN:
                child.qconfig = config
                made = _CHILDREN[type(child)].from_float(child)
                made.input_fake_quant = activation()
                made.register_forward_pre_hook(_quantize_input)
                setattr(parent, name, made)


def _quantize_input(module: nn.Module, args: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    return (module.get_submodule("input_fake_quant")(args[0]),)
