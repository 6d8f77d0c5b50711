"""Reductions, scans and selections along axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from graphprune.frontends.torch_operators.values import Value, integer, integers, is_shape, tensor

Reduction = Callable[[torch.Tensor, tuple[int, ...], bool], torch.Tensor]


def _reduce(function: Reduction) -> Callable[..., Any]:
    def apply(x: Value, axes: Value | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> torch.Tensor:
        data = tensor(x)
        chosen = () if axes is None else integers(axes)
        if not data.dim() or (noop_with_empty_axes and not chosen):
            return function(data.unsqueeze(0), (0,), False)  # noqa: FBT003 - the signature of a reduction
        along = tuple(dict.fromkeys(axis % data.dim() for axis in chosen or range(data.dim())))  # named once
        return function(data, along, bool(keepdims))

    return apply


def _one_by_one(function: Callable[..., torch.Tensor]) -> Reduction:
    """Apply a reduction of one axis to several, the last first."""

    def apply(x: torch.Tensor, axes: tuple[int, ...], keep: bool) -> torch.Tensor:  # noqa: FBT001 - as in torch
        for axis in sorted(axes, reverse=True):
            x = function(x, axis, keepdim=keep)
        return x

    return apply


def _sum(x: torch.Tensor, axes: tuple[int, ...], keep: bool) -> torch.Tensor:  # noqa: FBT001
    return x.sum(axes, keepdim=keep).to(x.dtype)


def _mean(x: torch.Tensor, axes: tuple[int, ...], keep: bool) -> torch.Tensor:  # noqa: FBT001
    if x.is_floating_point():
        return x.mean(axes, keepdim=keep)
    count = max(math.prod(x.shape[axis] for axis in axes), 1)  # the mean of no integers is 0, as in ONNX Runtime
    return torch.div(x.sum(axes, keepdim=keep), count, rounding_mode="trunc").to(x.dtype)


def _in_double(function: Reduction) -> Reduction:
    """The reduction, of integers too: in double precision, and cut; of halves in single precision."""

    def apply(x: torch.Tensor, axes: tuple[int, ...], keep: bool) -> torch.Tensor:  # noqa: FBT001
        wide = x if x.dtype in {torch.float32, torch.float64} else x.float() if x.is_floating_point() else x.double()
        return function(wide, axes, keep).to(x.dtype)

    return apply


def _log_sum_exp(x: torch.Tensor, axes: tuple[int, ...], keep: bool) -> torch.Tensor:  # noqa: FBT001
    return torch.logsumexp(x, axes, keepdim=keep)


def _extreme(function: Callable[..., torch.Tensor], *, largest: bool) -> Reduction:
    """The maximum or minimum; of nothing, the number that loses against all others."""

    def apply(x: torch.Tensor, axes: tuple[int, ...], keep: bool) -> torch.Tensor:  # noqa: FBT001
        if all(x.shape[axis] for axis in axes):
            return function(x, axes, keepdim=keep)
        worst = _limits(x.dtype)[0 if largest else 1]
        shape = [1 if axis in axes else extent for axis, extent in enumerate(x.shape) if keep or axis not in axes]
        return torch.full(shape, worst, dtype=x.dtype, device=x.device)

    return apply


def _limits(kind: torch.dtype) -> tuple[float, float]:
    if kind.is_floating_point:
        return -torch.inf, torch.inf
    return (0, 1) if kind == torch.bool else (torch.iinfo(kind).min, torch.iinfo(kind).max)


def _arg(function: Callable[..., torch.Tensor]) -> Callable[..., Any]:
    def apply(x: torch.Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> torch.Tensor:
        data = x.flip(axis) if select_last_index else x
        found = function(data, axis, keepdim=bool(keepdims))
        return x.shape[axis] - 1 - found if select_last_index else found

    return apply


def _scan(function: Callable[..., torch.Tensor], start: int) -> Callable[..., Any]:
    def apply(x: torch.Tensor, axis: Value, *, exclusive: int = 0, reverse: int = 0) -> torch.Tensor:
        along = integer(axis)
        data = x.flip(along) if reverse else x
        if exclusive:
            first = torch.full_like(data.narrow(along, 0, 1), start)
            data = torch.cat([first, data.narrow(along, 0, data.shape[along] - 1)], along)
        result = function(data, along).to(x.dtype)
        return result.flip(along) if reverse else result

    return apply


def top_k(
    x: torch.Tensor,
    k: Value,
    *,
    axis: int = -1,
    largest: int = 1,
    sorted: int = 1,  # noqa: A002 - ONNX's name
) -> tuple[torch.Tensor, torch.Tensor]:
    """ONNX TopK; among equals, the lower index comes first."""
    del sorted  # sorted results are allowed where any order is
    if torch.compiler.is_exporting():  # to ONNX, which has no Sort, and whose own TopK keeps that promise of equals
        found = torch.topk(x, integer(k), axis, bool(largest))
        return found.values, found.indices
    order = torch.argsort(x, dim=axis, descending=bool(largest), stable=True).narrow(axis, 0, integer(k))
    return torch.gather(x, axis, order), order


def lp_normalization(x: torch.Tensor, *, axis: int = -1, p: int = 2) -> torch.Tensor:
    """ONNX LpNormalization; what has the norm 0 stays 0."""
    norm = torch.linalg.vector_norm(x, p, dim=axis, keepdim=True)
    return torch.where(norm == 0, torch.zeros_like(x), x / norm)


def reduce_product(x: Value, axes: Value | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Value:
    """ONNX ReduceProd; the product of a shape is an integer."""
    if is_shape(x):
        if noop_with_empty_axes and axes is None:
            return x
        product = 1
        for extent in integers(x):
            product = product * extent
        return (product,) if keepdims and isinstance(x, Sequence) else product  # a number has no axis to keep
    reduced: torch.Tensor = _reduce(
        lambda data, along, keep: _one_by_one(torch.prod)(data, along, keep).to(data.dtype)
    )(x, axes, keepdims=keepdims, noop_with_empty_axes=noop_with_empty_axes)
    return reduced


TABLE: dict[str, Callable[..., Any]] = {
    "ArgMax": _arg(torch.argmax),
    "ArgMin": _arg(torch.argmin),
    "CumSum": _scan(torch.cumsum, 0),
    "CumProd": _scan(torch.cumprod, 1),
    "LpNormalization": lp_normalization,
    "ReduceL1": _reduce(lambda x, axes, keep: _sum(x.abs(), axes, keep)),
    "ReduceL2": _reduce(_in_double(lambda x, axes, keep: _sum(x * x, axes, keep).sqrt())),
    "ReduceLogSum": _reduce(_in_double(lambda x, axes, keep: _sum(x, axes, keep).log())),
    "ReduceLogSumExp": _reduce(_in_double(_log_sum_exp)),
    "ReduceMax": _reduce(_extreme(torch.amax, largest=True)),
    "ReduceMean": _reduce(_mean),
    "ReduceMin": _reduce(_extreme(torch.amin, largest=False)),
    "ReduceProd": reduce_product,
    "ReduceSum": _reduce(_sum),
    "ReduceSumSquare": _reduce(lambda x, axes, keep: _sum(x * x, axes, keep)),
    "TopK": top_k,
}
