"""What a file declares of its values, before anything is computed of it: extents, and types that are not tensors."""

from __future__ import annotations

from collections.abc import Iterator, MutableSequence
from pathlib import Path

import onnx

from graphprune.errors import UnsupportedModelError

Scope = onnx.GraphProto | onnx.FunctionProto

_OPEN = -1
"""How some exporters write an extent that is open."""


def check_declared(proto: onnx.ModelProto, source: Path) -> None:
    """Refuse extents below zero, of which onnx's own inference ends the process, but for -1, which is made open.

    Raises:
        UnsupportedModelError: An extent is negative [GP140], or an input or output is a map [GP141].
    """
    for value in (value for scope in scopes(proto) for value in _values(scope)):
        if (kind := _map_in(value.type)) is not None:
            raise UnsupportedModelError(
                f"'{source}': value '{value.name}' is {kind}, expected a tensor; cut the model before it", code="GP141"
            )
        for axis, dim in enumerate(_dims(value.type)):
            if dim.HasField("dim_value") and dim.dim_value < 0:
                _open_or_refuse(value.name, axis, dim, source)
    for scope in scopes(proto):
        for tensor in _tensors(scope):
            low = [extent for extent in tensor.dims if extent < 0]
            if low:
                raise _negative(tensor.name, list(tensor.dims).index(low[0]), low[0], source)


def scopes(proto: onnx.ModelProto) -> Iterator[Scope]:
    """The graph of a model, its functions, and the graphs inside the nodes of both."""
    yield from _nested(proto.graph)
    for function in proto.functions:
        yield function
        yield from _inner(function.node)


def _nested(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    yield from _inner(graph.node)


def _inner(nodes: MutableSequence[onnx.NodeProto]) -> Iterator[onnx.GraphProto]:
    for node in nodes:
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _nested(graph)


def _values(scope: Scope) -> Iterator[onnx.ValueInfoProto]:
    yield from scope.value_info
    if isinstance(scope, onnx.GraphProto):
        yield from (*scope.input, *scope.output)


def _tensors(scope: Scope) -> Iterator[onnx.TensorProto]:
    if isinstance(scope, onnx.GraphProto):
        yield from scope.initializer
    for node in scope.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)


def _dims(kind: onnx.TypeProto) -> Iterator[onnx.TensorShapeProto.Dimension]:
    """The dimensions of a tensor, or of those in a sequence or an optional."""
    field = kind.WhichOneof("value")
    if field in ("tensor_type", "sparse_tensor_type"):
        yield from getattr(kind, field).shape.dim
    elif field in ("sequence_type", "optional_type"):
        yield from _dims(getattr(kind, field).elem_type)


def _open_or_refuse(name: str, axis: int, dim: onnx.TensorShapeProto.Dimension, source: Path) -> None:
    if dim.dim_value != _OPEN:
        raise _negative(name, axis, dim.dim_value, source)
    dim.ClearField("dim_value")


def _negative(name: str, axis: int, extent: int, source: Path) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"'{source}': value '{name}' has extent {extent} at axis {axis}, expected at least 0", code="GP140"
    )


def _map_in(kind: onnx.TypeProto) -> str | None:
    """What to call a type that holds a map, which no part of this package does; None for another."""
    match kind.WhichOneof("value"):
        case "map_type":
            return "a map"
        case "sequence_type":
            return "a sequence of maps" if _map_in(kind.sequence_type.elem_type) is not None else None
        case "optional_type":
            return _map_in(kind.optional_type.elem_type)
    return None
