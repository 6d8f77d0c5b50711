"""Choosing and calling a plane kernel: dense or sparse weight, tile, copied or direct input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from graphprune.backends.tvm.building.tuning import Emitted
from graphprune.backends.tvm.kernels.builder import Machine
from graphprune.backends.tvm.kernels.dense import dense_blocks, dense_function, register_tile, tap_table
from graphprune.backends.tvm.kernels.elements import FLOAT32
from graphprune.backends.tvm.kernels.problem import PlaneProblem, Planes, channel_distance
from graphprune.backends.tvm.kernels.sparse import TILE_VECTORS, channels_per_block, sparse_function, tile_vectors
from graphprune.backends.tvm.kernels.sparse_rows import SparseRows, sparse_rows
from graphprune.backends.tvm.kernels.tiling import tile_positions_evenly
from graphprune.backends.tvm.kernels.vector import (
    VectorProblem,
    dense_vector_function,
    output_blocks,
    sparse_vector_function,
)
from graphprune.backends.tvm.kernels.view import Handle, View
from graphprune.backends.tvm.lowering.graph import Lowering
from graphprune.backends.tvm.operators.region import NO_EPILOGUE, FusedEpilogue
from graphprune.backends.tvm.operators.weights import Candidate, Weight, candidates, explain

USES_WORTH_A_COPY = 32
"""Copy the input tile once each of its elements is used about this often (measured on 1x1 convolutions)."""

ONE_TAP = np.zeros(1, np.int32)
Indices = npt.NDArray[np.int32]


def position_problem(machine: Machine, planes: Planes, images: int, weight: Weight, positions: int) -> PlaneProblem:
    """The problem of a product whose outputs are at the positions of its inputs, for this form of the weight."""
    aligned = planes.position_stride == 1 and not any(
        n % machine.lanes for n in (positions, planes.channel_stride, planes.image_stride, planes.offset)
    )
    threads = 1 if aligned or images % machine.threads == 0 else machine.threads
    tiling = tile_positions_evenly(positions, machine.lanes, _tile_vectors(machine, positions, weight), threads)
    is_copy = aligned and planes.channel_stride == tiling.span  # as the input lies
    copy = not aligned or (weight.uses >= USES_WORTH_A_COPY and not is_copy)
    return PlaneProblem(machine, images, weight.outputs, positions, planes, tiling, weight.elements, copy)


def _tile_vectors(machine: Machine, positions: int, weight: Weight) -> int:
    """Of a tile, for this form of a weight; several rows share the loads of their inputs as it is."""
    if weight.rows is None or not machine.is_dual_issue:
        return TILE_VECTORS
    channels = weight.inputs * weight.groups
    a_channel = weight.nonzeros / (weight.outputs * channels) if weight.height == 1 else 0
    return tile_vectors(machine, positions, a_channel)


def is_few(machine: Machine, positions: int) -> bool:
    """Whether so many positions take a kernel of their own, whose time is that of reading the weight."""
    return 2 * positions < machine.lanes


def fastest_kind(lowering: Lowering, words: Weight, floats: Weight, positions: int) -> Weight:
    """The weight of one tap, in words or in floats, that takes the least time for a few positions; notes why if floats.

    It is the time of reading the weight, and a word has as many bytes as a float.
    """
    kinds = {
        replace(each, kernel=weight.elements.kernel(each.kernel), share=each.share * weight.size / words.size): weight
        for weight in (words, floats)
        for each in candidates(weight, lowering.machine, few=positions, near=lowering.is_near)
    }

    def emit(kind: Candidate) -> Emitted:
        weight, fused = kinds[kind], replace(NO_EPILOGUE, dtype=kinds[kind].elements.sums)
        planes = Planes(weight.inputs * positions, weight.inputs, 0, positions)
        problem = VectorProblem(lowering.machine, planes, weight.outputs, positions, weight.elements)
        return _emit_vectors(problem, fused, kind.form(weight))

    eligible = sorted(kinds, key=lambda kind: kind.share)
    described = f"{words.outputs} outputs of {words.inputs} {words.elements.dot} at {positions} positions"
    seconds = _measured(lowering, eligible, emit, described, few=positions)
    picked = min(seconds, key=lambda kind: seconds[kind], default=eligible[0])
    if kinds[picked] is floats:
        integers = next(kind for kind in eligible if kinds[kind] is words)
        lowering.prefer_float32(_compared(picked, integers, seconds))
    return kinds[picked]


def _compared(picked: Candidate, other: Candidate, seconds: Mapping[Candidate, float]) -> str:
    """The time of a kernel over that of one for integers."""
    if other in seconds:
        return f"it is measured at {seconds[picked] / seconds[other]:.0%} of the time of integers"
    return f"it is estimated at {picked.share / other.share:.0%} of the time of integers"


def lower_positions(
    lowering: Lowering, planes: Planes, images: int, weight: Weight, positions: int, x: View, fused: FusedEpilogue
) -> Handle:
    """Emit the product of a weight of one tap with `positions` of each image: a plane kernel, or one for a few."""
    if images == 1 and is_few(lowering.machine, positions):
        problem = VectorProblem(lowering.machine, planes, weight.outputs, positions, weight.elements)
        emit, size = partial(_emit_vectors, problem, fused), problem.outputs * problem.positions
        return _lower_fastest(lowering, weight, emit, str(problem), x, fused, size, few=positions)
    return lower_pointwise(lowering, planes, images, weight, positions, x, fused)


def lower_pointwise(
    lowering: Lowering,
    planes: Planes,
    images: int,
    weight: Weight,
    positions: int,
    x: View,
    fused: FusedEpilogue,
) -> Handle:
    """As `lower_planes`, of one tap; tiles are as the form of the weight wants them."""

    def problem(form: Weight) -> PlaneProblem:
        return position_problem(lowering.machine, planes, images, form, positions)

    def emit(form: Weight) -> Emitted:
        return emit_planes(problem(form), fused, ONE_TAP, form)

    size = images * weight.outputs * positions
    return _lower_fastest(lowering, weight, emit, str(problem(weight)), x, fused, size, few=0)


def lower_planes(
    lowering: Lowering,
    problem: PlaneProblem,
    weight: Weight,
    x: View,
    fused: FusedEpilogue,
    taps: Indices = ONE_TAP,
) -> Handle:
    """Emit the kernel for this weight; returns the output buffer [image][output channel][position]."""
    size = problem.images * problem.outputs * problem.positions
    emit = partial(emit_planes, problem, fused, taps)
    return _lower_fastest(lowering, weight, emit, str(problem), x, fused, size, few=0)


def _lower_fastest(
    lowering: Lowering,
    weight: Weight,
    emit: Callable[[Weight], Emitted],
    problem: str,
    x: View,
    fused: FusedEpilogue,
    size: int,
    *,
    few: int,
) -> Handle:
    """Call the fastest of the kernels that the weight may be given, and note which one it is and why."""
    eligible = candidates(weight, lowering.machine, few=few, near=lowering.is_near)
    kind = f"{problem}, {weight.groups} groups, {weight.taps} taps, {'narrow, ' * weight.is_narrow}{fused.dtype}"
    seconds = _measured(lowering, eligible, lambda c: emit(c.form(weight)), kind, few=few)
    picked = min(seconds, key=lambda candidate: seconds[candidate], default=eligible[0])
    names = tuple(candidate.kernel for candidate in eligible)
    lowering.note(picked.kernel, explain(weight, picked, eligible, seconds), names)
    function, constants = emit(picked.form(weight))
    elements = (weight.nonzeros if picked.height else weight.size) * weight.elements.channels
    inputs = [x, *(lowering.constant(array) for array in constants), *fused.views]
    return lowering.call(function, inputs, size, fused.dtype, 2 * elements * (size // weight.outputs))


def _measured(
    lowering: Lowering, eligible: list[Candidate], emit: Callable[[Candidate], Emitted], problem: str, *, few: int
) -> dict[Candidate, float]:
    """The seconds of each kernel that may be the fastest; none where the estimate leaves one, or decides."""
    tuner = lowering.tuner
    near = [] if tuner is None else [c for c in eligible if c.share <= tuner.effort.within * eligible[0].share]
    if tuner is None or len(near) == 1:
        return {}
    is_far = few > 0 and lowering.is_far  # others read the weight once for many positions
    return {
        c: tuner.seconds(f"{c.kernel}, {c.share:.2f} of dense: {problem}", partial(emit, c), is_far=is_far)
        for c in near
    }


def _emit_vectors(problem: VectorProblem, fused: FusedEpilogue, weight: Weight) -> Emitted:
    if weight.dense is not None:
        name = problem.elements.kernel("dense_vector")
        function = dense_vector_function(name, problem, fused.arguments, fused.apply, fused.dtype)
        return function, [output_blocks(weight.dense[:, :, 0], problem.block)]
    assert weight.rows is not None
    rows = sparse_rows(weight.rows, ONE_TAP, problem.planes.channel_stride, weight.inputs)
    if problem.looks_up or rows.nbytes > problem.machine.l2_bytes:  # else widening takes longer than it saves
        rows = rows.narrowed()
    function = sparse_vector_function("sparse_vector", problem, rows, fused.arguments, fused.apply, fused.dtype)
    return function, rows.arrays


def emit_planes(problem: PlaneProblem, fused: FusedEpilogue, taps: Indices, weight: Weight) -> Emitted:
    """The kernel for this weight, dense or of rows, and its constants.

    Rows of several groups read few channels each, which takes no blocks of channels.
    """
    distance, kernel = channel_distance(problem), problem.elements.kernel
    taps = np.tile(taps, weight.taps // len(taps))
    if weight.dense is not None:
        outputs = weight.outputs // weight.groups
        rows, vectors = register_tile(problem.machine, problem.tiling.span, outputs, problem.elements)
        blocks, values = dense_blocks(weight.dense, weight.groups, rows, vectors)
        function = dense_function(kernel("dense"), problem, blocks, distance, fused.arguments, fused.apply, fused.dtype)
        return function, [values, tap_table(weight.inputs, taps, distance)]
    assert weight.rows is not None
    channels = problem.planes.channels
    block = channels if weight.groups > 1 else channels_per_block(problem, weight.nonzeros)
    packed = _stored(problem, sparse_rows(weight.rows, taps, distance, block, weight.height))
    function = sparse_function(kernel("sparse"), problem, packed, fused.arguments, fused.apply, fused.dtype)
    return function, packed.arrays


def _stored(problem: PlaneProblem, rows: SparseRows) -> SparseRows:
    """The rows in as few bytes as take no more time (measured).

    Values of several outputs are widened once for all vectors of a tile, which does not pay where there is only one.
    """
    if problem.elements is not FLOAT32:
        return rows
    if rows.height == 1:
        return rows.in_words()
    return rows.narrowed() if problem.tiling.span > problem.machine.lanes else rows
