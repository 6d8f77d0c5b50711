"""The table of element-wise operators, as functions of one element: what may be fused behind any kernel."""

from __future__ import annotations

from graphprune.backends.tvm.operators.activations import ACTIVATIONS
from graphprune.backends.tvm.operators.arithmetic import ARITHMETIC, maximum, minimum
from graphprune.backends.tvm.operators.quantize import QUANTIZATION
from graphprune.backends.tvm.operators.scalar_base import Scalar, in_float32

CHANNEL_OPERANDS: dict[str, tuple[int, ...]] = {"BatchNormalization": (1, 2, 3, 4)}
"""Inputs that hold one element a channel (axis 1) instead of broadcasting by NumPy's rules."""

SCALAR: dict[str, Scalar] = {
    name: in_float32(function) for name, function in {**ARITHMETIC, **ACTIVATIONS, **QUANTIZATION}.items()
}

__all__ = ["CHANNEL_OPERANDS", "SCALAR", "Scalar", "maximum", "minimum"]
