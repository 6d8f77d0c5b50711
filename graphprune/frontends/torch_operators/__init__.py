"""ONNX operators in torch: one function an operator; its keyword arguments are the attributes with their defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphprune.frontends.torch_operators import (
    activations,
    arithmetic,
    indexing,
    integers,
    normalization,
    pooling,
    products,
    quantization,
    recurrent,
    reductions,
    resizing,
    shapes,
    signals,
    windows,
)

FUNCTIONS: dict[str, Callable[..., Any]] = {
    **arithmetic.TABLE,
    **activations.TABLE,
    **indexing.TABLE,
    **integers.TABLE,
    **normalization.TABLE,
    **pooling.TABLE,
    **products.TABLE,
    **quantization.TABLE,
    **recurrent.TABLE,
    **reductions.TABLE,
    **resizing.TABLE,
    **shapes.TABLE,
    **signals.TABLE,
    **windows.TABLE,
}
"""Operator -> function of its inputs; an input that is left out is None."""

MODULES = normalization.MODULES
"""Operator -> module, where training and inference differ."""

FUNCTIONS_OF_ALL_OUTPUTS = pooling.ALL_OUTPUTS
"""Operator -> function that is taken where outputs after the first are used."""

MODULES_OF_ALL_OUTPUTS = normalization.MODULES_OF_ALL_OUTPUTS
"""Operator -> module that is taken where outputs after the first are used."""
