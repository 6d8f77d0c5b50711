"""A random graph that is being written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import onnx
from hypothesis import strategies as st

Shape = tuple[int, ...]
T = TypeVar("T")

INPUTS = [(1, 2, 4, 4), (1, 1, 3, 2), (2, 4, 3), (3, 4)]


class Draft:
    """A graph being written; `shapes` has its activations, newest last."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.rng = np.random.default_rng(0)
        self.shapes: dict[str, Shape] = {"x": draw(st.sampled_from(INPUTS))}
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def choose(self, options: Sequence[T]) -> T:
        return self.draw(st.sampled_from(list(options)))

    def activation(self, *ranks: int) -> str | None:
        names = [name for name, shape in self.shapes.items() if len(shape) in ranks][-3:]
        return self.choose(names) if names else None

    def weight(self, *shape: int) -> str:
        return self.constant(np.asarray(self.rng.standard_normal(shape), np.float32))

    def quantized(self, *shape: int) -> str:
        """A weight that is stored as integers, with a scale for each index of an axis."""
        axis = self.choose(range(len(shape)))
        scales = self.constant(np.exp2(self.rng.integers(-3, 1, shape[axis])).astype(np.float32))
        integers = self.constant(self.rng.integers(-9, 9, shape).astype(np.int8))
        name = self.emit("DequantizeLinear", [integers, scales], shape, axis=axis)
        del self.shapes[name]
        return name

    def any_weight(self, *shape: int) -> str:
        return self.choose([self.weight, self.weight, self.quantized])(*shape)

    def constant(self, array: np.ndarray) -> str:
        self.constants.append(onnx.numpy_helper.from_array(array, f"w{len(self.constants)}"))
        return self.constants[-1].name

    def emit(self, op_type: str, inputs: Sequence[str], shape: Shape, **attributes: Any) -> str:  # noqa: ANN401 - whatever an operator has
        name = f"v{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(op_type, inputs, [name], name=name, **attributes))
        self.shapes[name] = shape
        return name
