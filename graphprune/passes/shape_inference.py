"""Strict shape inference: everything derived is cleared first, and a failure is an error.

`onnx_ir`'s own pass logs a failure and keeps the stale shapes; a graph whose channels were cut would pass as sound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import is_

import onnx
import onnx_ir as ir
from onnx import shape_inference

from graphprune.errors import UnsupportedModelError
from graphprune.graph.opaque import is_opaque
from graphprune.passes.contracts import broken_contract
from graphprune.passes.fingerprint import Fingerprint, fingerprint
from graphprune.passes.length_corrections import LengthCorrections
from graphprune.passes.shape_refinement import refined_shapes
from graphprune.passes.structure import checked_proto, one_line, subgraphs

_INFERRED = "graphprune.inferred"  # where a graph keeps what it was after inference
_GENERATED = "unk__"  # prefix of the symbols that onnx makes up


def infer_shapes(model: ir.Model) -> None:
    """Replace the types and shapes of all values of the graph and its subgraphs by freshly inferred ones.

    Values that onnx cannot infer end up unknown. What was declared for the outputs of an opaque operator is kept only
    as long as the shapes of its inputs, as far as they were known, are what they were. Weights are not read, so the
    model may be larger than 2 GB.

    A graph that has not changed since its shapes were inferred, in this model or in one that it was cloned from, is
    left as it is.

    Raises:
        UnsupportedModelError: The graph is ill-formed (GP261), its types and shapes contradict each other (GP262),
            or are too large to infer (GP388).
    """
    if model.graph.meta.get(_INFERRED) == _State.of(model):
        return
    _infer(model)
    model.graph.meta[_INFERRED] = _State.of(model)


@dataclass(frozen=True, eq=False)
class _State:
    """All that inference reads and writes. Tensors are compared by identity: they are replaced, not written into."""

    identity: Fingerprint
    ir_version: int | None
    types: tuple[tuple[str, str], ...]

    @staticmethod
    def of(model: ir.Model) -> _State:
        types = tuple((str(value.type), str(value.shape)) for graph in model.graphs() for value in _values(graph))
        return _State(fingerprint(model), model.ir_version, types)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _State)
            and (self.ir_version, self.types) == (other.ir_version, other.types)
            and self.identity.structure == other.identity.structure
            and len(self.identity.tensors) == len(other.identity.tensors)
            and all(map(is_, self.identity.tensors, other.identity.tensors))
        )

    __hash__ = None  # type: ignore[assignment] # nothing keys on it


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.inputs
    yield from graph.initializers.values()
    for node in graph:
        yield from node.outputs


def _infer(model: ir.Model) -> None:
    opaque = [node for node in model.graph.all_nodes() if is_opaque(model, node)]
    seen = [_input_shapes(node) for node in opaque]
    while True:
        _clear(model, kept=set(opaque))
        _merge(model.graph, _inferred(model), is_main=True)
        moved = [node for node, shapes in zip(opaque, seen, strict=True) if not _still_holds(shapes, node)]
        if not moved:
            break
        for node in moved:
            _clear_outputs(node)
            index = opaque.index(node)
            del opaque[index], seen[index]
    for node in model.graph:  # a branch that is not taken may contradict itself; the one that is comes to stand here
        complaint = broken_contract(node)
        if complaint is not None:
            raise UnsupportedModelError(f"shapes do not fit: {complaint}", code="GP262")


def _inferred(model: ir.Model) -> onnx.GraphProto:
    proto = checked_proto(model)
    _stand_in(proto.graph)
    corrections = LengthCorrections(proto)
    try:
        while True:
            corrections.apply()
            found = shape_inference.infer_shapes(proto, check_type=True, strict_mode=True, data_prop=True)
            refined = refined_shapes(found.graph)
            if not refined:
                return found.graph
            proto.graph.value_info.extend(refined)
    except shape_inference.InferenceError as error:
        raise UnsupportedModelError(f"shapes do not fit: {one_line(error)}", code="GP262") from None
    except MemoryError:
        raise UnsupportedModelError("the memory does not suffice to infer the shapes", code="GP388") from None


def _stand_in(graph: onnx.GraphProto) -> None:
    """Replace operators whose shapes onnx does not infer, though they are those of their inputs."""
    for node in graph.node:
        for attribute in node.attribute:
            for subgraph in (attribute.g, *attribute.graphs):
                _stand_in(subgraph)
        if node.op_type == "GroupNormalization" and node.domain in {"", "ai.onnx"}:
            node.op_type = "Identity"
            del node.input[1:], node.attribute[:]


def _clear(model: ir.Model, kept: set[ir.Node]) -> None:
    for node in model.graph.all_nodes():
        if node not in kept:
            _clear_outputs(node)
    for graph in model.graphs():
        for value in graph.initializers.values():
            if value.const_value is not None:
                value.type = ir.TensorType(value.const_value.dtype)
                value.shape = ir.Shape(value.const_value.shape.numpy())
    for graph in model.graph.subgraphs():
        for value in (*graph.inputs, *graph.outputs):
            # A scalar stays: the counter and condition of a Loop must be declared as such, and nothing infers them.
            value.shape = ir.Shape(()) if value.shape is not None and value.shape.rank() == 0 else None


def _clear_outputs(node: ir.Node) -> None:
    for value in node.outputs:
        if not value.is_graph_output():
            value.type = None
            value.shape = None


def _merge(graph: ir.Graph, inferred: onnx.GraphProto, *, is_main: bool) -> None:
    known = {info.name: info for info in (*inferred.value_info, *inferred.output)}
    if not is_main:
        for value, info in zip(graph.inputs, inferred.input, strict=True):
            _take(value, info, is_output=False)
    outputs = set(graph.outputs) if is_main else set()
    for node, twin in zip(graph, inferred.node, strict=True):
        for value, name in zip(node.outputs, twin.output, strict=False):
            if name in known:
                _take(value, known[name], is_output=value in outputs)
        for one, other in zip(subgraphs(node), _subgraph_protos(twin), strict=True):
            _merge(one, other, is_main=False)


def _subgraph_protos(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == onnx.AttributeProto.GRAPHS:
            yield from attribute.graphs


def _take(value: ir.Value, info: onnx.ValueInfoProto, *, is_output: bool) -> None:
    """Copy what was inferred; symbols that onnx made up do not become part of the graph's interface."""
    if info.type.WhichOneof("value") is None:
        return
    value.type = ir.serde.deserialize_type_proto_for_type(info.type)
    shape = ir.serde.deserialize_type_proto_for_shape(info.type)
    if shape is None:
        return
    declared = value.shape if is_output else None
    dims = [
        (declared[axis] if declared is not None else None) if is_output and _is_generated(dim) else dim
        for axis, dim in enumerate(shape)
    ]
    value.shape = ir.Shape(dims)


def _is_generated(dim: int | ir.SymbolicDim) -> bool:
    return isinstance(dim, ir.SymbolicDim) and dim.value is not None and dim.value.startswith(_GENERATED)


def _input_shapes(node: ir.Node) -> list[list[str] | None]:
    return [None if value is None or value.shape is None else [*map(_extent, value.shape)] for value in node.inputs]


def _extent(dim: int | ir.SymbolicDim) -> str:
    """An extent, a symbol, or a mark for what has no name or another one each time."""
    return "?" if _is_generated(dim) or (not isinstance(dim, int) and dim.value is None) else str(dim)


def _still_holds(shapes: list[list[str] | None], node: ir.Node) -> bool:
    """Whether the inputs of a node have these shapes, as far as those are known."""
    return all(old is None or old == new for old, new in zip(shapes, _input_shapes(node), strict=True))
