"""A node whose values lose channels, and the edits of its operands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.analysis.channels.layout import IntArray
from graphprune.analysis.constants import constant_tensor
from graphprune.passes.fresh_names import FreshNames
from graphprune.passes.rewriting import drop_unused, graph_of, new_initializer

MutableKept = dict[ir.Value, Mapping[int, IntArray]]
"""Value -> axis -> the indices that stay, for axes that lose some."""


@dataclass(frozen=True)
class CutNode:
    """A node some of whose values lose channels; their shapes are still the old ones.

    Attributes:
        node: The node.
        kept: What every value of the model keeps; what is put between is added.
        names: Hands out names for new operands.
    """

    node: ir.Node
    kept: MutableKept
    names: FreshNames

    def input(self, index: int) -> ir.Value:
        """Return a required input."""
        value = self.node.inputs[index]
        assert value is not None, "checked when the model was read"
        return value

    def cuts(self, value: ir.Value) -> Mapping[int, IntArray]:
        """Return what the axes of a value keep, where they lose something."""
        return self.kept.get(value, {})

    def extent(self, value: ir.Value, axis: int) -> int:
        """Return the new extent of an axis of which channels lie along."""
        if axis in self.cuts(value):
            return int(self.cuts(value)[axis].size)
        return old_extent(value, axis)

    def axis(self, default: int) -> int | None:
        """Return the attribute `axis`, counted from the front, if the first input loses channels there."""
        cuts = self.cuts(self.input(0))
        axis = self.node.attributes.get_int("axis", default) % rank_of(self.input(0)) if cuts else None
        return axis if axis in cuts else None

    def integers(self, name: str, index: int) -> npt.NDArray[np.int64] | None:
        """Return a constant operand, or the attribute of older opsets; None where it is absent or computed."""
        if name in self.node.attributes:
            return np.asarray(self.node.attributes[name].as_ints(), np.int64)
        tensor = constant_tensor(self.node.inputs[index]) if index < len(self.node.inputs) else None
        return None if tensor is None else tensor.numpy().astype(np.int64)

    def set_integers(self, name: str, index: int, values: npt.NDArray[np.int64] | Sequence[int]) -> None:
        """Give the node other integers, where it had them: as an attribute, or as an operand of the same type."""
        array = np.asarray(values, np.int64)
        if name in self.node.attributes:
            self.node.attributes[name] = ir.AttrInt64s(name, array.tolist())
            return
        old = self.node.inputs[index] if index < len(self.node.inputs) else None
        dtype = np.int64 if old is None or old.dtype is None else old.dtype.numpy()
        self.set_operand(index, self.constant(name, array.astype(dtype)))

    def set_operand(self, index: int, value: ir.Value) -> None:
        """Replace an operand; the old one goes if nothing else reads it."""
        if index >= len(self.node.inputs):
            self.node.resize_inputs(index + 1)
        old = self.node.inputs[index]
        self.node.replace_input_with(index, value)
        if old is not None:
            drop_unused([old])

    def constant(self, name: str, array: npt.NDArray[Any]) -> ir.Value:
        """Make an initializer named after the node's output."""
        free = self.names.take(f"{self.node.outputs[0].name}_{name}")
        return new_initializer(graph_of(self.node), free, ir.Tensor(array, name=free))

    def insert(self, op_type: str, inputs: Sequence[ir.Value], name: str, **attributes: int) -> ir.Value:
        """Insert a node before this one, and return its output."""
        output = ir.Value(name=self.names.take(f"{self.node.outputs[0].name}_{name}"))
        made = ir.node(op_type, list(inputs), attributes, outputs=[output], name=output.name)
        graph_of(self.node).insert_before(self.node, made)
        return output

    def put_behind(self, op_type: str, operands: Sequence[ir.Value], name: str) -> ir.Value:
        """Let everything read what an operator makes of the output and `operands`; it takes the output's name."""
        output = self.node.outputs[0]
        old = str(output.name)
        made = ir.Value(name=self.names.take(f"{old}_{name}"), type=output.type, shape=output.shape)
        output.replace_all_uses_with(made, replace_graph_outputs=True)
        node = ir.node(op_type, [output, *operands], outputs=[made], name=made.name)
        graph_of(self.node).insert_after(self.node, node)
        if made.is_graph_output():
            output.name, made.name = made.name, old
        if output in self.kept:
            self.kept[made] = self.kept[output]
        return made


Follow = Callable[[CutNode], None]


def old_extent(value: ir.Value, axis: int) -> int:
    """Return the extent of an axis along which channels lie, before any go."""
    extent = None if value.shape is None else value.shape[axis]
    assert isinstance(extent, int), "channels lie along axes of known extent"
    return extent


def rank_of(value: ir.Value) -> int:
    """Return the number of axes."""
    assert value.shape is not None, "channels are followed through known shapes"
    return value.shape.rank()
