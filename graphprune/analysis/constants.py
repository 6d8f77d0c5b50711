"""Constants of a graph, and who reads them through transpositions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import onnx_ir as ir

from graphprune.graph.nodes import placed_graphs

Derive = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
"""Makes a new array of an array that it leaves alone."""


@dataclass(frozen=True)
class Reader:
    """A node that reads a constant, directly or through Transpose and Identity.

    Attributes:
        node: The node.
        index: The position of the operand.
        perm: Axis `i` of the operand is axis `perm[i]` of the constant.
    """

    node: ir.Node
    index: int
    perm: tuple[int, ...]


def constant_tensor(value: ir.Value | None) -> ir.TensorProtocol | None:
    """Return the tensor of an initializer that no caller can override, or of a Constant node; else None."""
    if value is None or value.is_graph_input():
        return None
    if value.const_value is not None:
        return value.const_value
    node = value.producer()
    if node is None or node.op_type != "Constant" or node.domain != "" or "value" not in node.attributes:
        return None
    attribute = node.attributes["value"]
    return None if attribute.is_ref() else attribute.as_tensor()


def replace_constant(value: ir.Value, array: npt.NDArray[Any]) -> None:
    """Give a constant a new tensor of the same shape and type; the old tensor, which clones share, is left alone."""
    node = value.producer()
    if node is None:
        value.const_value = ir.Tensor(array, name=value.name)
    else:
        node.attributes["value"] = ir.AttrTensor("value", ir.Tensor(array))


class DerivedTensor(ir.LazyTensor):
    """A tensor that is made of another one each time that it is read, and never held.

    Attributes:
        source: The other one.
    """

    def __init__(self, source: ir.TensorProtocol, derive: Derive, shape: Sequence[int]) -> None:
        super().__init__(
            lambda: ir.Tensor(derive(source.numpy())), source.dtype, ir.Shape(shape), cache=False, name=source.name
        )
        self.source = source


def source_of(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    """Return what a tensor is made of in the end."""
    while isinstance(tensor, DerivedTensor):
        tensor = tensor.source
    return tensor


def derive_constant(value: ir.Value, derive: Derive, shape: Sequence[int]) -> None:
    """Give a constant what `derive` makes of its array; weights that lie in a file are not brought into memory.

    Args:
        value: The constant.
        derive: Makes a new array of the same dtype; has to give the same each time.
        shape: Of what it makes.
    """
    tensor = constant_tensor(value)
    assert tensor is not None, f"'{value.name}' is no constant"
    if isinstance(tensor, ir.ExternalTensor | DerivedTensor):
        value.const_value = DerivedTensor(tensor, derive, shape)
    else:
        replace_constant(value, derive(tensor.numpy()))


def constants(graph: ir.Graph | ir.Function) -> Iterator[tuple[ir.Value, ir.TensorProtocol]]:
    """Yield the initializers, then the outputs of Constant nodes, of this graph and not of its subgraphs."""
    initializers = [] if isinstance(graph, ir.Function) else list(graph.initializers.values())
    for value in (*initializers, *(output for node in graph for output in node.outputs[:1])):
        tensor = constant_tensor(value)
        if tensor is not None:
            yield value, tensor


def named_constants(model: ir.Model) -> dict[str, tuple[ir.Value, ir.TensorProtocol]]:
    """Return the constants of the main graph and of the subgraphs inside, in that order, by names that are unique.

    A constant is called as its value; one of a subgraph whose name another one has too, by its place before that name:
    `y.then_branch.w` in the node that makes `y`.
    """
    found = [(place, *each) for place, graph in placed_graphs(model.graph) for each in constants(graph)]
    times = Counter(value.name for _, value, _ in found)
    return {
        (place if times[value.name] > 1 else "") + str(value.name or ""): (value, tensor)
        for place, value, tensor in found
    }


def is_constant(value: ir.Value | None) -> bool:
    """Return whether `value` is a constant, or one seen through Transpose and Identity."""
    while value is not None and constant_tensor(value) is None:
        node = value.producer()
        if node is None or not _is_view(node):
            return False
        value = node.inputs[0]
    return value is not None


def readers(value: ir.Value, perm: tuple[int, ...]) -> Iterator[Reader | None]:
    """Yield who reads `value`, whose axis `i` is axis `perm[i]` of the constant; None stands for a graph output."""
    if value.is_graph_output():
        yield None
    for node, index in value.uses():
        if _is_view(node):
            yield from readers(node.outputs[0], _permuted(node, perm))
        else:
            yield Reader(node, index, perm)


def _is_view(node: ir.Node) -> bool:
    return node.domain == "" and node.op_type in {"Transpose", "Identity"}


def _permuted(node: ir.Node, perm: tuple[int, ...]) -> tuple[int, ...]:
    if node.op_type == "Identity":
        return perm
    order = node.attributes.get_ints("perm", tuple(reversed(range(len(perm)))))
    return tuple(perm[axis] for axis in order)
