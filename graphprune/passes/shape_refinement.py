"""Extents that onnx's inference leaves open, though the graph decides them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

import onnx

Dims = list[int | str]
"""Extents; names stand for open ones."""


def refined_shapes(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Return the values of an inferred graph of which one more extent is known.

    A `Reshape` keeps the number of elements: where its open dimensions are those of its input but for one, that one is
    a quotient. A `MatMul` has as many columns on the left as rows on the right. What a `GatherND` picks by one tuple of
    as many indices as there are axes has no axes.
    """
    shapes = _shapes(graph)
    types = {each.name: each.type.tensor_type.elem_type for each in _values(graph)}
    found: dict[str, Dims] = {}
    for node in graph.node:
        if node.domain not in {"", "ai.onnx"}:
            continue
        if node.op_type == "Reshape":
            _note(found, shapes, node.output[0], _quotient(shapes.get(node.input[0]), shapes.get(node.output[0])))
        elif node.op_type == "MatMul":
            left, right = (shapes.get(name) for name in node.input)
            if left and right and isinstance(left[-1], str) and isinstance(right[-2:][0], int):
                _note(found, shapes, node.input[0], [*left[:-1], right[-2:][0]])
        elif node.op_type == "GatherND" and _is_an_element(*(shapes.get(name) for name in node.input)):
            found.update({name: [] for name in node.output if name in types and name not in shapes})
    return [onnx.helper.make_tensor_value_info(name, types[name], _extents(dims)) for name, dims in found.items()]


def _extents(dims: Dims) -> list[int | None]:
    """Leave names to the next inference."""
    return [dim if isinstance(dim, int) else None for dim in dims]


def _note(found: dict[str, Dims], shapes: Mapping[str, Dims], name: str, dims: Dims | None) -> None:
    if dims is not None and dims != shapes[name]:
        found[name] = dims


def _quotient(before: Dims | None, after: Dims | None) -> Dims | None:
    """Return the output's extents with the one open dimension that the input lacks; None where it is not one."""
    if before is None or after is None:
        return None
    old, new = (Counter(dim for dim in dims if isinstance(dim, str)) for dims in (before, after))
    added = [*(new - old).elements()]
    all_known, rest = (math.prod(dim for dim in dims if isinstance(dim, int)) for dims in (before, after))
    if len(added) != 1 or old - new or not rest or all_known % rest:
        return None
    return [all_known // rest if dim == added[0] else dim for dim in after]


def _is_an_element(data: Dims | None, indices: Dims | None) -> bool:
    """Return whether the indices are one tuple, of all axes."""
    return data is not None and indices is not None and len(indices) == 1 and indices[0] == len(data)


def _shapes(graph: onnx.GraphProto) -> dict[str, Dims]:
    """Return the shapes in which each dimension has an extent or a name."""
    found = {}
    for value in _values(graph):
        dims = [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if value.type.tensor_type.HasField("shape") and all(dims):
            found[value.name] = dims
    return found


def _values(graph: onnx.GraphProto) -> Iterable[onnx.ValueInfoProto]:
    return (*graph.input, *graph.value_info)
