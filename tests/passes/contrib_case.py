"""A small graph with an operator of ONNX Runtime, and the numbers of its constants and inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx_ir as ir

HEADER = '<ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1, "com.microsoft.nchwc" : 1]>\n'


@dataclass(frozen=True)
class Case:
    """A graph as text, shapes or values of its initializers, and what its inputs that are no floats hold."""

    text: str
    constants: Mapping[str, tuple[int, ...] | np.ndarray] = field(default_factory=dict)
    feed: Mapping[str, np.ndarray] = field(default_factory=dict)

    def model(self) -> ir.Model:
        """The graph with its constants."""
        proto = onnx.parser.parse_model(HEADER + f"g {self.text}")
        rng = np.random.default_rng(1)
        for name, given in self.constants.items():
            value = given if isinstance(given, np.ndarray) else rng.standard_normal(given).astype(np.float32)
            proto.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
        return ir.from_proto(proto)


def scales(**values: float) -> dict[str, np.ndarray]:
    """Single floats."""
    return {name: np.array(value, np.float32) for name, value in values.items()}


def zeros(dtype: str = "uint8", **values: int) -> dict[str, np.ndarray]:
    """Single integers."""
    return {name: np.array(value, dtype) for name, value in values.items()}


def integers(*shape: int, below: int, dtype: str = "int32", least: int = 0) -> np.ndarray:
    """Seeded integers."""
    return np.random.default_rng(2).integers(least, below, shape).astype(dtype)
