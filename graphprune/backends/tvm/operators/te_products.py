"""Einsum and determinants for every dtype."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import te, tirx

from graphprune.backends.tvm.kernels.builder import Expr
from graphprune.backends.tvm.operators.te import Expression, Tensor, shape_of
from graphprune.graph.einsum import einsum_terms


def broadcast_index(index: Sequence[Expr], shape: Sequence[int]) -> list[Expr]:
    """A broadcast index for an operand of this shape."""
    own = index[len(index) - len(shape) :]
    return [tirx.const(0, "int32") if n == 1 else i for i, n in zip(own, shape, strict=True)]


def einsum(e: Expression) -> Sequence[Tensor]:
    """Einsum as one sum over all labels that the output lacks."""
    operands = [e[i] for i in range(len(e.inputs))]
    shapes = [shape_of(x) for x in operands]
    terms, result = einsum_terms(e.node.attributes.get_string("equation", ""), [len(shape) for shape in shapes])
    extents: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for label, n in zip(term, shape, strict=True):
            extents[label] = max(n, extents.get(label, 1))
    summed = {label: te.reduce_axis((0, n), label) for label, n in extents.items() if label not in result}

    def product(*index: Expr) -> Expr:
        at = {**summed, **dict(zip(result, index, strict=False))}
        value: Expr = None
        for x, term, extent in zip(operands, terms, shapes, strict=True):
            place = [tirx.const(0, "int32") if n == 1 else at[label] for label, n in zip(term, extent, strict=True)]
            element = x(*place)
            value = element if value is None else value * element
        return te.sum(value, axis=list(summed.values())) if summed else value

    if result:
        return [te.compute([extents[label] for label in result], product, "einsum")]
    return [te.compute((1,), lambda _i: product(), "einsum")]


def determinant(e: Expression) -> Sequence[Tensor]:
    """Det of matrices up to 4 x 4, by minors."""
    x, shape = e[0], shape_of(e[0])

    def minor(batch: Sequence[Expr], rows: tuple[int, ...], columns: tuple[int, ...]) -> Expr:
        if not rows:
            return tirx.const(1, x.dtype)
        total: Expr = None
        for k, column in enumerate(columns):
            term = x(*batch, rows[0], column) * minor(batch, rows[1:], (*columns[:k], *columns[k + 1 :]))
            total = term if total is None else (total - term if k % 2 else total + term)
        return total

    every = tuple(range(shape[-1]))
    if len(shape) == 2:
        return [te.compute((1,), lambda _i: minor((), every, every), "determinant")]
    return [te.compute(shape[:-2], lambda *batch: minor(batch, every, every), "determinant")]
