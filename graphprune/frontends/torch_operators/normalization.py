"""Normalisations. What behaves differently in training is a module."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from graphprune.errors import UnsupportedModelError


class BatchNormalization(nn.Module):
    """ONNX BatchNormalization: batch statistics in training, which update the running ones in place."""

    def __init__(
        self, *, epsilon: float = 1e-5, momentum: float = 0.9, training_mode: int = 0, spatial: int = 1
    ) -> None:
        super().__init__()
        if training_mode or not spatial:
            raise UnsupportedModelError("BatchNormalization with training_mode=1 or spatial=0", code="GP131")
        self.epsilon = epsilon
        self.momentum = 1 - momentum  # torch's share is that of the new value

    def forward(
        self, x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor
    ) -> torch.Tensor:
        """Return the normalised values, of the shape and type of `x`."""
        kinds = [each.dtype for each in (x, scale, shift, mean, variance)]
        if len(set(kinds)) == 1:
            return self._normalized(x, scale, shift, mean, variance)
        wide = functools.reduce(torch.promote_types, kinds, torch.float32)  # torch takes no mixture of types
        new_mean, new_variance = mean.to(wide), variance.to(wide)
        result = self._normalized(x.to(wide), scale.to(wide), shift.to(wide), new_mean, new_variance)
        if self.training:
            mean.copy_(new_mean)
            variance.copy_(new_variance)
        return result.to(x.dtype)

    def _normalized(
        self, x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor
    ) -> torch.Tensor:
        images = x.unsqueeze(1) if x.dim() == 1 else x  # of one channel
        settings = self.training, self.momentum, self.epsilon
        return functional.batch_norm(images, mean, variance, scale, shift, *settings).reshape(x.shape)


class Dropout(nn.Module):
    """ONNX Dropout: active in training, with the ratio of the file."""

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__()
        del seed  # torch's own generator is used

    def forward(self, x: torch.Tensor, ratio: Any = None, training_mode: Any = None) -> torch.Tensor:  # noqa: ANN401
        """Return `x`, in training with zeros; the module's mode counts, not the file's."""
        del training_mode
        return functional.dropout(x, _share(ratio), self.training)


class DropoutWithMask(Dropout):
    """ONNX Dropout whose mask is used as well."""

    def forward(  # type: ignore[override] # two results
        self,
        x: torch.Tensor,
        ratio: Any = None,  # noqa: ANN401
        training_mode: Any = None,  # noqa: ANN401
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return `x`, in training with zeros, and where it was kept."""
        kept = super().forward(torch.ones_like(x), ratio, training_mode)
        return x * kept, kept != 0


def _share(ratio: Any) -> float:  # noqa: ANN401 - a number or a tensor of one
    return 0.5 if ratio is None else float(ratio)


def layer_normalization(
    x: torch.Tensor,
    scale: torch.Tensor,
    shift: torch.Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> torch.Tensor:
    """ONNX LayerNormalization with one output, computed in float32 at least."""
    del stash_type
    wide = x if x.dtype == torch.float64 else x.float()
    shape = list(x.shape[axis:])
    normal = functional.layer_norm(wide, shape, eps=epsilon).to(x.dtype) * scale
    return normal if shift is None else normal + shift


def rms_normalization(
    x: torch.Tensor, scale: torch.Tensor, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> torch.Tensor:
    """ONNX RMSNormalization, computed in float32 at least."""
    del stash_type
    wide = x if x.dtype == torch.float64 else x.float()
    axes = tuple(range(axis % x.dim(), x.dim()))
    return (wide * torch.rsqrt(wide.square().mean(axes, keepdim=True) + epsilon)).to(x.dtype) * scale


def _channelwise(values: torch.Tensor, rank: int) -> torch.Tensor:
    return values.view(1, -1, *[1] * (rank - 2))


def instance_normalization(
    x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, *, epsilon: float = 1e-5
) -> torch.Tensor:
    """ONNX InstanceNormalization."""
    axes = tuple(range(2, x.dim()))
    variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    normal = (x - mean) * torch.rsqrt(variance + epsilon)
    return normal * _channelwise(scale, x.dim()) + _channelwise(shift, x.dim())


def group_normalization(
    x: torch.Tensor,
    scale: torch.Tensor,
    shift: torch.Tensor,
    *,
    num_groups: int,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> torch.Tensor:
    """ONNX GroupNormalization since opset 21: scale and shift a channel."""
    del stash_type
    normal = functional.group_norm(x.float() if x.dtype != torch.float64 else x, num_groups, eps=epsilon).to(x.dtype)
    repeat = x.shape[1] // scale.shape[0]  # before opset 21 they are given a group
    scale, shift = (each if repeat == 1 else each.repeat_interleave(repeat) for each in (scale, shift))
    return normal * _channelwise(scale, x.dim()) + _channelwise(shift, x.dim())


def local_response_normalization(
    x: torch.Tensor, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> torch.Tensor:
    """ONNX LRN over neighbouring channels."""
    before, after = (size - 1) // 2, size - 1 - (size - 1) // 2
    pads = [0, 0] * (x.dim() - 2) + [before, after]
    sums = functional.pad(x.square(), pads).unfold(1, size, 1).sum(-1)
    return x / (bias + alpha / size * sums) ** beta


def mean_variance_normalization(x: torch.Tensor, *, axes: tuple[int, ...] = (0, 2, 3)) -> torch.Tensor:
    """ONNX MeanVarianceNormalization."""
    variance, mean = torch.var_mean(x, tuple(axes), correction=0, keepdim=True)
    return (x - mean) / (variance.sqrt() + 1e-9)


MODULES: dict[str, type[nn.Module]] = {"BatchNormalization": BatchNormalization, "Dropout": Dropout}
MODULES_OF_ALL_OUTPUTS: dict[str, type[nn.Module]] = {"Dropout": DropoutWithMask}

TABLE: dict[str, Callable[..., Any]] = {
    "GroupNormalization": group_normalization,
    "InstanceNormalization": instance_normalization,
    "LRN": local_response_normalization,
    "LayerNormalization": layer_normalization,
    "MeanVarianceNormalization": mean_variance_normalization,
    "RMSNormalization": rms_normalization,
}
