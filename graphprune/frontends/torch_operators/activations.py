"""Activation functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional


def elu(x: torch.Tensor, *, alpha: float = 1.0) -> torch.Tensor:
    """ONNX Elu."""
    return torch.where(x < 0, alpha * torch.expm1(torch.clamp(x, max=0)), x)


def celu(x: torch.Tensor, *, alpha: float = 1.0) -> torch.Tensor:
    """ONNX Celu."""
    return functional.celu(x, alpha)


def selu(x: torch.Tensor, *, alpha: float = 1.6732631921768188, gamma: float = 1.0507010221481323) -> torch.Tensor:
    """ONNX Selu."""
    return gamma * elu(x, alpha=alpha)


def leaky_relu(x: torch.Tensor, *, alpha: float = 0.009999999776482582) -> torch.Tensor:
    """ONNX LeakyRelu, whose attribute is float32."""
    return torch.where(x < 0, alpha * x, x)


def prelu(x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """ONNX PRelu; the slope is broadcast as in arithmetic."""
    return torch.where(x < 0, slope * x, x)


def thresholded_relu(x: torch.Tensor, *, alpha: float = 1.0) -> torch.Tensor:
    """ONNX ThresholdedRelu."""
    return torch.where(x > alpha, x, torch.zeros_like(x))


def hard_sigmoid(x: torch.Tensor, *, alpha: float = 0.20000000298023224, beta: float = 0.5) -> torch.Tensor:
    """ONNX HardSigmoid, whose attributes are float32."""
    return torch.clamp(alpha * x + beta, 0, 1)


def hard_swish(x: torch.Tensor) -> torch.Tensor:
    """ONNX HardSwish."""
    return x * hard_sigmoid(x, alpha=1 / 6, beta=0.5)


def gelu(x: torch.Tensor, *, approximate: str = "none") -> torch.Tensor:
    """ONNX Gelu."""
    return functional.gelu(x, approximate=approximate)


def swish(x: torch.Tensor, *, alpha: float = 1.0) -> torch.Tensor:
    """ONNX Swish."""
    return x * torch.sigmoid(alpha * x)


def shrink(x: torch.Tensor, *, bias: float = 0.0, lambd: float = 0.5) -> torch.Tensor:
    """ONNX Shrink."""
    above = torch.where(x > lambd, x - bias, torch.zeros_like(x))
    return torch.where(x < -lambd, x + bias, above).to(x.dtype)  # first, where lambd is negative and both hold


def softmax(x: torch.Tensor, *, axis: int = -1) -> torch.Tensor:
    """ONNX Softmax; of halves as ONNX defines it, where each operator rounds."""
    if x.dtype == torch.float16:
        powers = torch.exp(x - x.amax(axis, keepdim=True))
        return powers / powers.sum(axis, keepdim=True)
    return torch.softmax(x, axis)


def log_softmax(x: torch.Tensor, *, axis: int = -1) -> torch.Tensor:
    """ONNX LogSoftmax."""
    return torch.log_softmax(x, axis)


def hardmax(x: torch.Tensor, *, axis: int = -1) -> torch.Tensor:
    """ONNX Hardmax: one at the first maximum."""
    ones = functional.one_hot(x.argmax(axis), x.shape[axis]).to(x.dtype)
    return ones.movedim(-1, axis)


TABLE: dict[str, Callable[..., Any]] = {
    "Celu": celu,
    "Elu": elu,
    "Gelu": gelu,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": hard_swish,
    "Hardmax": hardmax,
    "LeakyRelu": leaky_relu,
    "LogSoftmax": log_softmax,
    "Mish": functional.mish,
    "PRelu": prelu,
    "Relu": torch.relu,
    "Selu": selu,
    "Shrink": shrink,
    "Sigmoid": torch.sigmoid,
    "Softmax": softmax,
    "Softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "Softsign": functional.softsign,
    "Swish": swish,
    "Tanh": torch.tanh,
    "ThresholdedRelu": thresholded_relu,
}
