"""Models exported for ONNX Runtime, in sessions of ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

Session = Any
"""ONNX Runtime ships no types."""


def options_for(*models: Path) -> Session:
    """Options with the library of each of the exported files."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors arrive as exceptions too
    for model in models:
        options.register_custom_ops_library(str(model.with_suffix(".so")))
    return options


def session_of(model: Path, options: Session = None) -> Session:
    """The session of an exported file."""
    return onnxruntime.InferenceSession(str(model), options or options_for(model), providers=["CPUExecutionProvider"])


def assert_same(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> None:
    """Bit for bit, in shapes and types too."""
    assert [(array.shape, array.dtype) for array in ours] == [(array.shape, array.dtype) for array in theirs]
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
