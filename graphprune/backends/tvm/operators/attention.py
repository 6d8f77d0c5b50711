"""Attention whose groups were joined: the products and the softmax between them as one kernel."""

from __future__ import annotations

import math

from graphprune.backends.tvm.kernels.attention import Epilogues, attention_function
from graphprune.backends.tvm.kernels.view import View
from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import Lowering, static_shape
from graphprune.backends.tvm.operators.region import FusedEpilogue, plane_epilogue
from graphprune.backends.tvm.operators.views import input_value


def attention(lowering: Lowering, group: Group) -> None:
    """The product of values with the softmax of scores, which are computed within.

    The output is written with queries or with features fastest, as the layout plan asks.
    """
    scores, _ = group.before
    shape, rank = static_shape(group.output), len(static_shape(group.output)) - 2
    q, k = (lowering.view(input_value(scores.anchor, i)) for i in (0, 1))
    v = lowering.view(input_value(group.anchor, 1))
    q, k, v = (view.broadcast((*shape[:-2], *view.shape[-2:])) for view in (q, k, v))
    stages = _epilogues(lowering, (*group.before, group))
    arguments = [argument for stage in stages for argument in stage.arguments]
    applied = (stage.apply if each.region else None for stage, each in zip(stages, (*group.before, group), strict=True))
    epilogues, dtype = Epilogues(*applied), stages[-1].dtype
    columns_contiguous = lowering.order(group.output)[-1] != rank
    function = attention_function(
        lowering.machine, q, k, v, arguments, epilogues, columns_contiguous=columns_contiguous, output_dtype=dtype
    )
    operations = 2 * math.prod(static_shape(scores.output)) * (q.shape[-1] + v.shape[-1])
    inputs = [q, k, v, *(view for stage in stages for view in stage.views)]
    buffer = lowering.call(function, inputs, math.prod(shape), dtype, operations)
    order = (*range(rank), rank, rank + 1) if columns_contiguous else (*range(rank), rank + 1, rank)
    lowering.define(group.output, View.dense(buffer, dtype, shape, order))


def _epilogues(lowering: Lowering, groups: tuple[Group, ...]) -> list[FusedEpilogue]:
    """What follows each of the products and the softmax, with arguments of different names."""
    stages: list[FusedEpilogue] = []
    for group in groups:
        rank = len(static_shape(group.output)) - 2
        axes = (tuple(range(rank)), (rank,), (rank + 1,))
        first = sum(len(stage.arguments) for stage in stages)
        stages.append(plane_epilogue(lowering, group, axes, first=first, vectors=rank))
    return stages
