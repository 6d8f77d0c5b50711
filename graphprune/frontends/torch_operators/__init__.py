"""ONNX operators in torch: one function an operator; its keyword arguments are the attributes with their defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphprune.frontends.torch_operators import (
    activations,
    arithmetic,
    indexing,
    normalization,
    products,
    quantization,
    reductions,
    shapes,
    windows,
)

FUNCTIONS: dict[str, Callable[..., Any]] = {
    **arithmetic.TABLE,
    **activations.TABLE,
    **indexing.TABLE,
    **normalization.TABLE,
    **products.TABLE,
    **quantization.TABLE,
    **reductions.TABLE,
    **shapes.TABLE,
    **windows.TABLE,
}
"""Operator -> function of its inputs; an input that is left out is None."""

MODULES = normalization.MODULES
"""Operator -> module, where training and inference differ."""
