"""Choosing and calling a plane kernel: dense or sparse weight, tile, copied or direct input."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from graphprune.backends.tvm.kernels.dense import dense_blocks, dense_function, register_tile, tap_table
from graphprune.backends.tvm.kernels.planes import PlaneProblem, Planes, channel_distance
from graphprune.backends.tvm.kernels.sparse import channels_per_block, sparse_function, sparse_rows
from graphprune.backends.tvm.kernels.tiling import tile_positions
from graphprune.backends.tvm.kernels.vector import (
    VectorProblem,
    dense_vector_function,
    output_blocks,
    sparse_vector_function,
)
from graphprune.backends.tvm.lowering import Array, Lowering
from graphprune.backends.tvm.operators.region import FusedEpilogue
from graphprune.backends.tvm.operators.weights import Weight, choose
from graphprune.backends.tvm.view import Handle, View

TILE_VECTORS = 4
USES_WORTH_A_COPY = 32
"""Copy the input tile once each of its elements is used about this often (measured on 1x1 convolutions)."""

ONE_TAP = np.zeros(1, np.int32)
Indices = npt.NDArray[np.int32]


def position_problem(lowering: Lowering, planes: Planes, images: int, weight: Weight, positions: int) -> PlaneProblem:
    """The problem of a product whose outputs are at the positions of its inputs."""
    machine = lowering.machine
    aligned = planes.position_stride == 1 and not any(
        n % machine.lanes for n in (positions, planes.channel_stride, planes.image_stride, planes.offset)
    )
    copy = not aligned or weight.uses >= USES_WORTH_A_COPY
    tiling = tile_positions(positions, machine.lanes, TILE_VECTORS)
    return PlaneProblem(machine, images, weight.outputs, positions, planes, tiling, copy_tile=copy)


def lower_positions(
    lowering: Lowering, planes: Planes, images: int, weight: Weight, positions: int, x: View, fused: FusedEpilogue
) -> Handle:
    """Emit the product of a weight of one tap with `positions` of each image: a plane kernel, or one for a few."""
    if images == 1 and 2 * positions < lowering.machine.lanes:
        problem = VectorProblem(lowering.machine, planes, weight.outputs, positions)
        return _lower_vectors(lowering, problem, _chosen(lowering, weight, few=True), x, fused)
    return lower_planes(lowering, position_problem(lowering, planes, images, weight, positions), weight, x, fused)


def _lower_vectors(lowering: Lowering, problem: VectorProblem, weight: Weight, x: View, fused: FusedEpilogue) -> Handle:
    if weight.dense is not None:
        function = dense_vector_function("dense_vector", problem, fused.arguments, fused.apply, fused.dtype)
        constants: list[Array] = [output_blocks(weight.dense[:, :, 0], problem.block)]
    else:
        assert weight.rows is not None
        rows = sparse_rows(weight.rows, ONE_TAP, problem.planes.channel_stride, weight.inputs)
        function = sparse_vector_function("sparse_vector", problem, rows, fused.arguments, fused.apply, fused.dtype)
        constants = [rows.values, rows.offsets, rows.starts]
    inputs = [x, *(lowering.constant(array) for array in constants), *fused.views]
    return lowering.call(function, inputs, problem.outputs * problem.positions, fused.dtype)


def lower_planes(
    lowering: Lowering,
    problem: PlaneProblem,
    weight: Weight,
    x: View,
    fused: FusedEpilogue,
    taps: Indices = ONE_TAP,
    groups: int = 1,
) -> Handle:
    """Emit the kernel for this weight; returns the output buffer [image][output channel][position]."""
    weight = _chosen(lowering, weight, few=False)
    emit = _dense if weight.dense is not None else _sparse
    function, constants = emit(problem, weight, fused, taps, groups)
    inputs = [x, *(lowering.constant(array) for array in constants), *fused.views]
    return lowering.call(function, inputs, problem.images * problem.outputs * problem.positions, fused.dtype)


def _dense(
    problem: PlaneProblem, weight: Weight, fused: FusedEpilogue, taps: Indices, groups: int
) -> tuple[Handle, list[Array]]:
    assert weight.dense is not None
    rows, vectors = register_tile(problem.machine, problem.tiling.span, weight.outputs // groups)
    blocks = dense_blocks(weight.dense, groups, rows, vectors)
    distance = channel_distance(problem)
    function = dense_function("dense", problem, blocks, distance, fused.arguments, fused.apply, fused.dtype)
    return function, [blocks.values, tap_table(weight.inputs, taps, distance)]


def _sparse(
    problem: PlaneProblem, weight: Weight, fused: FusedEpilogue, taps: Indices, groups: int
) -> tuple[Handle, list[Array]]:
    assert groups == 1, "only ungrouped convolutions are packed"
    assert weight.rows is not None
    block = channels_per_block(problem, weight.nonzeros)
    rows = sparse_rows(weight.rows, taps, channel_distance(problem), block, weight.height)
    function = sparse_function("sparse", problem, rows, fused.arguments, fused.apply, fused.dtype)
    return function, [rows.values, rows.offsets, rows.starts]


def _chosen(lowering: Lowering, weight: Weight, *, few: bool) -> Weight:
    """The weight in the form of the fastest kernel, which is noted."""
    choice = choose(weight, few=few)
    lowering.note(choice.kernel, choice.why)
    return choice.weight
