"""Writing an operator as a few simpler ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from graphprune.passes.rewriting import constant_of

Array = npt.NDArray[Any]
Attribute = float | str | Sequence[int]


class Definition:
    """A function body for one node, under construction; values are names.

    A body may depend on static shapes, where who asks for it makes sure that there are some, and on constant operands.
    """

    def __init__(self, node: ir.Node) -> None:
        self.node = node
        self.inputs = ["" if value is None else f"x{i}" for i, value in enumerate(node.inputs)]
        self.nodes: list[onnx.NodeProto] = []

    def __call__(self, operator: str, *inputs: str, **attributes: Attribute) -> str:
        """Add a node of one output and return the name of that output."""
        output = f"v{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(operator, inputs, [output], **dict[str, Any](attributes)))
        return output

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike = np.int64) -> str:
        """Add a constant."""
        output = f"v{len(self.nodes)}"
        tensor = onnx.numpy_helper.from_array(np.asarray(value, dtype))
        self.nodes.append(onnx.helper.make_node("Constant", [], [output], value=tensor))
        return output

    def like(self, value: npt.ArrayLike, index: int = 0) -> str:
        """Add a constant of the dtype of input `index`."""
        return self.constant(value, self.dtype(index))

    def has(self, index: int) -> bool:
        """Whether the node has this optional input."""
        return index < len(self.inputs) and self.inputs[index] != ""

    def shape(self, index: int = 0) -> tuple[int, ...]:
        """The shape of an input."""
        return shape_of(self.node.inputs[index])

    def output_shape(self, index: int = 0) -> tuple[int, ...]:
        """The shape of an output."""
        return shape_of(self.node.outputs[index])

    def dtype(self, index: int = 0) -> np.dtype[Any]:
        """The dtype of an input."""
        return dtype_of(self.node.inputs[index])

    def output_type(self, index: int = 0) -> int:
        """ONNX's number of an output's element type, as Cast takes it."""
        dtype = self.node.outputs[index].dtype
        assert dtype is not None
        return int(dtype)

    def known(self, index: int) -> Array | None:
        """The value of an input if it is constant."""
        tensor = constant_of(self.node.inputs[index]) if index < len(self.node.inputs) else None
        return None if tensor is None else np.asarray(tensor.numpy())

    def cast(self, value: str, dtype: npt.DTypeLike) -> str:
        """Add a Cast to a NumPy dtype."""
        return self("Cast", value, to=onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def reshape(self, value: str, shape: Sequence[int]) -> str:
        """Add a Reshape to a fixed shape."""
        return self("Reshape", value, self.constant(shape))

    def slice(self, value: str, axis: int, start: int, end: int, step: int = 1) -> str:
        """Add a Slice along one axis."""
        bounds = [self.constant([bound]) for bound in (start, end, axis, step)]
        return self("Slice", value, *bounds)

    def finish(self, *outputs: str) -> onnx.FunctionProto:
        """The body, which returns these values."""
        names = [f"y{i}" for i in range(len(outputs))]
        for name, value in zip(names, outputs, strict=True):
            self.nodes.append(onnx.helper.make_node("Identity", [value], [name]))
        inputs = [f"x{i}" for i in range(len(self.inputs))]
        return onnx.helper.make_function("", "", inputs, names, self.nodes, [])


Define = Callable[[Definition], onnx.FunctionProto | None]
"""Completes the body for a node, or returns None where the node has no such definition."""


def shape_of(value: ir.Value | None) -> tuple[int, ...]:
    """The static shape of a value."""
    assert value is not None
    assert value.shape is not None
    return tuple(int(d) for d in value.shape.numpy())


def dtype_of(value: ir.Value | None) -> np.dtype[Any]:
    """The NumPy dtype of a value."""
    assert value is not None
    assert value.dtype is not None
    return np.dtype(value.dtype.numpy())


def has_types(node: ir.Node) -> bool:
    """Whether the element types of all inputs are known."""
    return all(value is None or value.dtype is not None for value in node.inputs)


def is_static(node: ir.Node) -> bool:
    """Whether every shape and dtype that a definition may ask for is known, the outputs' aside."""
    present = [value for value in node.inputs if value is not None]
    return all(v.shape is not None and v.shape.is_static() and v.dtype is not None for v in present)
