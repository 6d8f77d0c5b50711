"""Einsum of two operands as a batched matrix product of views; any other as one sum."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from graphprune.backends.tvm.kernels.elements import itemsize
from graphprune.backends.tvm.kernels.matmul import matmul_function
from graphprune.backends.tvm.kernels.view import View
from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import Lowering
from graphprune.backends.tvm.operators.te import lower_with
from graphprune.backends.tvm.operators.te_products import einsum as summed
from graphprune.backends.tvm.operators.views import input_value
from graphprune.graph.einsum import einsum_terms


@dataclass(frozen=True)
class _Term:
    """An operand and the labels of its axes."""

    view: View
    labels: str

    @property
    def extents(self) -> dict[str, int]:
        """Of each label."""
        return dict(zip(self.labels, self.view.shape, strict=True))


@dataclass(frozen=True)
class _Product:
    """The labels of a product [batch, rows, depth] x [batch, depth, columns]."""

    batch: Sequence[str]
    rows: Sequence[str]
    columns: Sequence[str]
    depth: Sequence[str]


def einsum(lowering: Lowering, group: Group) -> None:
    """Einsum."""
    node = group.anchor
    views = [lowering.view(input_value(node, i)) for i in range(len(node.inputs))]
    labels, result = einsum_terms(node.attributes.get_string("equation", ""), [len(view.shape) for view in views])
    terms = [_Term(view, own) for view, own in zip(views, labels, strict=True)]
    if len(terms) == 2 and result[-1:] not in terms[1].labels:  # vectors run along the last axis of the result
        terms.reverse()
    product = _product_of(terms, result)
    if product is None:
        lower_with(summed)(lowering, group)
    else:
        _multiply(lowering, group, terms, product, result)


def _product_of(terms: Sequence[_Term], result: str) -> _Product | None:
    """The product that an equation of two operands is; None where an axis is summed by itself, or nothing is shared."""
    if len(terms) != 2 or itemsize(terms[0].view.dtype) < 4:
        return None
    left, right = (term.labels for term in terms)
    shared, every = set(left) & set(right), set(left) | set(right)
    is_repeated = len(set(left)) < len(left) or len(set(right)) < len(right)
    is_uneven = any(terms[0].extents[label] != terms[1].extents[label] for label in shared)
    if is_repeated or is_uneven or every - set(result) - shared:
        return None
    depth = [label for label in left if label not in result]
    rows = [label for label in result if label in left and label not in shared]
    behind = result[max((result.index(label) + 1 for label in rows), default=0) :]
    columns = [label for label in behind if label not in shared]  # those before a row make matrices of their own
    batch = [label for label in result if label not in rows and label not in columns]
    return _Product(batch, rows, columns, depth) if depth and (rows or columns) else None


def _multiply(lowering: Lowering, group: Group, terms: Sequence[_Term], p: _Product, result: str) -> None:
    extents = terms[0].extents | terms[1].extents
    a = _matrices(lowering, terms[0], extents, p.batch, p.rows, p.depth)
    b = _matrices(lowering, terms[1], extents, p.batch, p.depth, p.columns)
    written = [*p.batch, *p.rows, *p.columns]
    shape = [extents[label] for label in written]
    function = matmul_function("einsum", lowering.machine, a, b, output_dtype=a.dtype)
    size = math.prod(shape)
    buffer = lowering.call(function, [a, b], size, a.dtype, 2 * size * a.shape[-1])
    view = View.dense(buffer, a.dtype, shape).transpose([written.index(label) for label in result])
    lowering.define(group.output, view)


def _matrices(
    lowering: Lowering,
    term: _Term,
    extents: Mapping[str, int],
    batch: Sequence[str],
    outer: Sequence[str],
    inner: Sequence[str],
) -> View:
    """The operand as [batch..., outer, inner]; it is repeated along the labels of the batch that it lacks."""
    own = [label for label in batch if label in term.labels]
    turned = term.view.transpose([term.labels.index(label) for label in (*own, *outer, *inner)])
    sizes = [math.prod(extents[label] for label in labels) for labels in (outer, inner)]
    view = lowering.reshaped(turned, [*turned.shape[: len(own)], *sizes])
    if 1 not in view.strides[-2:]:  # the kernel would pick single elements out of cache lines
        view = lowering.dense(view)
    steps = dict(zip(own, view.strides, strict=False))
    strides = (*(steps.get(label, 0) for label in batch), *view.strides[-2:])
    return replace(view, shape=(*(extents[label] for label in batch), *sizes), strides=strides)
