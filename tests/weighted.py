"""Models as ONNX text whose inputs named `w…` become seeded random initializers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.passes.shape_inference import infer_shapes

HEADER = '<ir_version: 10, opset_import: ["" : 18]>\n'


def weighted_model(text: str, weights: Mapping[str, npt.NDArray[Any]] | None = None, *, seed: int = 0) -> ir.Model:
    """Parse `text`, give each input `w…` of the main graph the array of that name, or else normal random numbers."""
    model = ir.from_onnx_text(text if text.lstrip().startswith("<") else HEADER + text)
    rng = np.random.default_rng(seed)
    for value in [value for value in model.graph.inputs if (value.name or "").startswith("w")]:
        assert value.name is not None
        assert value.shape is not None
        array = (weights or {}).get(value.name)
        if array is None:
            assert value.dtype is not None
            array = rng.standard_normal(value.shape.numpy()).astype(value.dtype.numpy())
        model.graph.inputs.remove(value)
        value.const_value = ir.Tensor(array, name=value.name)
        model.graph.register_initializer(value)
    return model


def inferred_model(text: str, weights: Mapping[str, npt.NDArray[Any]] | None = None, *, seed: int = 0) -> ir.Model:
    """Return what `weighted_model` does, with the shapes of all values."""
    model = weighted_model(text, weights, seed=seed)
    infer_shapes(model)
    return model


def weight_of(model: ir.Model, name: str) -> npt.NDArray[Any]:
    """Return the initializer called `name`."""
    tensor = model.graph.initializers[name].const_value
    assert tensor is not None
    return tensor.numpy()
