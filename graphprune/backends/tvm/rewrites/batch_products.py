"""Products of a few rows by one weight as one product of all rows: the steps of a loop that its exporter wrote out.

The rows are joined and split again, which are views where they came from one tensor; the weight is read once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import onnx_ir as ir

from graphprune.graph.functions import DOMAIN
from graphprune.packed.calls import extra_index
from graphprune.packed.forms import CALLS
from graphprune.passes.rewriting import bypass, constant_of

MOST_ROWS = 4
"""Of a product that is worth batching: from about a vector of rows on, reading the weight is not what takes time."""

LEAST_ROWS = 16
"""Of all products by a weight together: what fills vectors of positions."""

_PRODUCTS = {
    *(("", name) for name in ("MatMul", "Gemm")),
    *((DOMAIN, name) for name, (_, operator) in CALLS.items() if operator in {"MatMul", "Gemm"}),
}


class _Kind(NamedTuple):
    """What products have in common that can be batched."""

    operator: ir.OperatorIdentifier
    attributes: tuple[tuple[str, str], ...]
    weight: tuple[ir.Value | None, ...]
    shape: tuple[int, ...]
    dtype: ir.DataType


def batch_products(graph: ir.Graph) -> None:
    """Compute products of a few rows by the same weight at once, where none needs the result of another."""
    kinds: dict[_Kind, list[ir.Node]] = {}
    for node in graph:
        if (kind := _kind_of(node)) is not None:
            kinds.setdefault(kind, []).append(node)
    for kind, nodes in kinds.items():
        independent = _independent(graph, nodes) if _are_enough(kind, nodes) else []
        if _are_enough(kind, independent):
            _batch(graph, kind, independent)
            graph.sort()


def _are_enough(kind: _Kind, nodes: Sequence[ir.Node]) -> bool:
    return len(nodes) > 1 and len(nodes) * math.prod(kind.shape[:-1]) >= LEAST_ROWS


def _kind_of(node: ir.Node) -> _Kind | None:
    """The kind of a product of a few rows by a constant weight, with one bias for all rows; None of others."""
    if (node.domain, node.op_type) not in _PRODUCTS or node.attributes.get_int("transA", 0) == 1:
        return None
    x, *weight = node.inputs
    if x is None or x.shape is None or x.dtype is None or x.shape.rank() < len("MK") or any(map(_is_computed, weight)):
        return None
    shape = x.shape.numpy()
    if math.prod(shape[:-1]) > MOST_ROWS or not _is_for_any_rows(node):
        return None
    attributes = tuple(sorted((name, str(attribute.value)) for name, attribute in node.attributes.items()))
    return _Kind(node.op_identifier(), attributes, tuple(weight), shape, x.dtype)


def _is_computed(value: ir.Value | None) -> bool:
    return value is not None and constant_of(value) is None


def _is_for_any_rows(node: ir.Node) -> bool:
    """Whether the weight and the bias of a product have no extent that its rows, or batches of them, must have."""
    if node.op_type == "MatMul":
        weight = constant_of(node.inputs[1])
        return weight is not None and len(weight.shape) == len("KN")
    index = len("AB") if node.domain == "" else extra_index(node)
    bias = constant_of(node.inputs[index]) if index < len(node.inputs) else None
    return bias is None or len(bias.shape) < len("MN") or bias.shape[0] == 1


def _independent(graph: ir.Graph, nodes: Sequence[ir.Node]) -> list[ir.Node]:
    """Those of the nodes that need no result of any of them."""
    among, found, dependent = set(nodes), list[ir.Node](), set[ir.Value]()
    for node in graph:
        needs = any(value in dependent for value in node.inputs)
        if node in among and not needs:
            found.append(node)
        if needs or node in among:
            dependent.update(node.outputs)
    return found


def _batch(graph: ir.Graph, kind: _Kind, nodes: Sequence[ir.Node]) -> None:
    """Join the rows, multiply them at once, and split the products."""
    first, parts, (extent, *inner) = nodes[0], len(nodes), kind.shape
    joined = ir.node("Concat", [node.inputs[0] for node in nodes], {"axis": 0}, name=f"{first.name}.rows")
    product = ir.Node(
        first.domain, first.op_type, [joined.outputs[0], *kind.weight], first.attributes.values(),
        overload=first.overload, name=f"{first.name}.products",
    )  # fmt: skip
    attributes, name = {"axis": 0, "num_outputs": parts}, f"{first.name}.parts"
    split = ir.node("Split", product.outputs, attributes, num_outputs=parts, name=name)
    _describe(joined, [parts * extent, *inner], kind.dtype)
    _describe(product, [parts * extent, *_shape_of(first)[1:]], kind.dtype)
    _describe(split, _shape_of(first), kind.dtype)
    graph.insert_before(first, [joined, product, split])
    for node, part in zip(nodes, split.outputs, strict=True):
        bypass(node, part)


def _shape_of(node: ir.Node) -> tuple[int, ...]:
    shape = node.outputs[0].shape
    assert shape is not None, "shapes are static here"
    return shape.numpy()


def _describe(node: ir.Node, shape: Sequence[int], dtype: ir.DataType) -> None:
    for number, value in enumerate(node.outputs):
        value.name, value.dtype, value.shape = f"{node.name}.{number}", dtype, ir.Shape(shape)
