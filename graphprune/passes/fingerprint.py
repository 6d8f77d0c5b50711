"""Whether two models are the same graph: measured, not claimed by a pass.

The comparison covers names, operators, attributes, connections, initializers, functions, the stage and the types of the
graph's inputs. Left out is what inference derives (types of other values) and what only describes (doc strings,
provenance). Tensors are compared by identity first: a clone shares them, so only replaced ones are read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from graphprune.stages.stage import get_stage

_CHUNK = 1 << 24  # bytes compared at a time


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What identifies a model: nested tuples of its structure, and its tensors in the order they are met."""

    structure: tuple[Any, ...]
    tensors: tuple[ir.TensorProtocol, ...]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Fingerprint)
            and self.structure == other.structure
            and len(self.tensors) == len(other.tensors)
            and all(map(same_tensor, self.tensors, other.tensors))
        )

    __hash__ = None  # type: ignore[assignment] # equality reads tensors; nothing keys on it


def fingerprint(model: ir.Model) -> Fingerprint:
    """Return the fingerprint of `model`; tensors are referred to, not read."""
    collector = _Collector()
    structure = (
        str(get_stage(model)),
        collector.graph(model.graph),
        tuple(collector.function(model.functions[key]) for key in sorted(model.functions)),
    )
    return Fingerprint(structure, tuple(collector.tensors))


def digest(model: ir.Model) -> str:
    """Return the SHA-256 of what identifies `model`, as hexadecimal digits: every weight is read."""
    identity = fingerprint(model)
    total = hashlib.sha256(repr(identity.structure).encode())
    for tensor in identity.tensors:
        total.update(repr((tensor.dtype, tuple(tensor.shape))).encode())
        if tensor.dtype == ir.DataType.STRING:
            total.update(repr(tensor.numpy().tolist()).encode())
        else:
            for chunk in _chunks(tensor.numpy()):
                total.update(chunk.data)
    return total.hexdigest()


def same_tensor(left: ir.TensorProtocol, right: ir.TensorProtocol) -> bool:
    """Return whether two tensors have the same type, shape and bits."""
    if left is right:
        return True
    if left.dtype != right.dtype or tuple(left.shape) != tuple(right.shape):
        return False
    if left.dtype == ir.DataType.STRING:
        return bool(np.array_equal(left.numpy(), right.numpy()))
    pairs = zip(_chunks(left.numpy()), _chunks(right.numpy()), strict=True)
    return all(np.array_equal(one, other) for one, other in pairs)


def _chunks(array: np.ndarray[Any, Any]) -> Iterable[np.ndarray[Any, Any]]:
    octets = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return (octets[start : start + _CHUNK] for start in range(0, octets.size, _CHUNK))


class _Collector:
    """Turns graphs into nested tuples and sets their tensors aside."""

    def __init__(self) -> None:
        self.tensors: list[ir.TensorProtocol] = []

    def graph(self, graph: ir.Graph | ir.Function) -> tuple[Any, ...]:
        initializers = [] if isinstance(graph, ir.Function) else sorted(graph.initializers.items())
        for _, value in initializers:
            self._tensor(value.const_value)
        return (
            graph.name,
            tuple((value.name, str(value.type), str(value.shape)) for value in graph.inputs),
            tuple(value.name for value in graph.outputs),
            tuple(sorted(graph.opset_imports.items())),
            tuple(name for name, _ in initializers),
            tuple(self._node(node) for node in graph),
        )

    def function(self, function: ir.Function) -> tuple[Any, ...]:
        defaults = tuple(self._attribute(attribute) for attribute in function.attributes.values())
        return (function.identifier(), defaults, self.graph(function))

    def _node(self, node: ir.Node) -> tuple[Any, ...]:
        return (
            node.name,
            node.op_identifier(),
            tuple(value.name if value is not None else None for value in node.inputs),
            tuple(value.name for value in node.outputs),
            tuple(self._attribute(node.attributes[key]) for key in sorted(node.attributes)),
        )

    def _attribute(self, attribute: ir.Attr) -> tuple[Any, ...]:
        if attribute.is_ref():
            return (attribute.name, attribute.type, "ref", attribute.ref_attr_name)
        return (attribute.name, attribute.type, self._attribute_value(attribute))

    def _attribute_value(self, attribute: ir.Attr) -> object:
        match attribute.type:
            case ir.AttributeType.GRAPH:
                return self.graph(attribute.as_graph())
            case ir.AttributeType.GRAPHS:
                return tuple(self.graph(graph) for graph in attribute.as_graphs())
            case ir.AttributeType.TENSOR:
                return self._tensor(attribute.as_tensor())
            case ir.AttributeType.TENSORS:
                return tuple(self._tensor(tensor) for tensor in attribute.as_tensors())
            case _:
                return repr(attribute.value)

    def _tensor(self, tensor: ir.TensorProtocol | None) -> bool:
        if tensor is None:
            return False
        self.tensors.append(tensor)
        return True
