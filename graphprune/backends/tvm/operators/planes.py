"""Choosing and calling a plane kernel: dense or sparse weight, tile, copied or direct input."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.backends.tvm.kernels.dense import dense_blocks, dense_function, register_tile, tap_table
from graphprune.backends.tvm.kernels.planes import PlaneProblem, Planes, channel_distance
from graphprune.backends.tvm.kernels.sparse import (
    SparseRows,
    channels_per_block,
    common_height,
    sparse_function,
    sparse_rows,
)
from graphprune.backends.tvm.kernels.tiling import tile_positions
from graphprune.backends.tvm.kernels.vector import (
    VectorProblem,
    dense_vector_function,
    output_blocks,
    sparse_vector_function,
)
from graphprune.backends.tvm.lowering import Array, Lowering
from graphprune.backends.tvm.operators.region import FusedEpilogue
from graphprune.backends.tvm.view import Handle, View
from graphprune.packed.calls import read_call
from graphprune.packed.rows import RowsWeight

TILE_VECTORS = 4
USES_WORTH_A_COPY = 32
"""Copy the input tile once each of its elements is used about this often (measured on 1x1 convolutions)."""

ONE_TAP = np.zeros(1, np.int32)
Indices = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Weight:
    """A constant weight of `outputs` channels over `inputs` channels (of one group) and `taps` taps.

    Either `dense` [outputs, inputs, taps], or the CSR rows `values`, `columns`, `row_offsets` where column
    `c * taps + t` is input channel c, tap t.
    """

    outputs: int
    inputs: int
    taps: int
    dense: Array | None = None
    values: Array | None = None
    columns: Array | None = None
    row_offsets: Array | None = None

    @property
    def uses(self) -> float:
        """How often an input element is used, on average, a tap."""
        return self.outputs if self.values is None else len(self.values) / (self.inputs * self.taps)

    def scaled(self, factor: float) -> Weight:
        """The weight times `factor`."""
        if factor == 1.0 or self.values is None:
            return self
        return replace(self, values=np.float32(factor) * self.values)


def dense_weight(array: Array) -> Weight:
    """A dense weight [outputs, inputs, taps]."""
    return Weight(array.shape[0], array.shape[1], array.shape[2], dense=array)


def packed_weight(node: ir.Node) -> Weight:
    """The weight of a `graphprune::Packed...` call."""
    call = read_call(node)
    shape = call.weight_shape
    rows = call.packed.rows if isinstance(call.packed, RowsWeight) else RowsWeight.pack(call.weight).rows
    sizes = shape[0], shape[1], math.prod(shape[2:])
    return Weight(*sizes, values=rows.values, columns=rows.columns, row_offsets=rows.row_offsets)


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
        return _lower_vectors(
            lowering, VectorProblem(lowering.machine, planes, weight.outputs, positions), weight, x, fused
        )
    return lower_planes(lowering, position_problem(lowering, planes, images, weight, positions), weight, x, fused)


def _lower_vectors(lowering: Lowering, problem: VectorProblem, weight: Weight, x: View, fused: FusedEpilogue) -> Handle:
    if weight.dense is not None:
        function = dense_vector_function("dense_vector", problem, fused.arguments, fused.apply, fused.dtype)
        constants: list[Array] = [output_blocks(weight.dense[:, :, 0], problem.block)]
    else:
        rows = _rows(weight, ONE_TAP, problem.planes.channel_stride, weight.inputs)
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
    assert weight.values is not None
    assert weight.columns is not None
    assert weight.row_offsets is not None
    block = channels_per_block(problem, len(weight.values))
    rows = _rows(weight, taps, channel_distance(problem), block, common_height(weight.columns, weight.row_offsets))
    function = sparse_function("sparse", problem, rows, fused.arguments, fused.apply, fused.dtype)
    return function, [rows.values, rows.offsets, rows.starts]


def _rows(weight: Weight, taps: Indices, channel_distance: int, block: int, height: int = 1) -> SparseRows:
    assert weight.values is not None
    assert weight.columns is not None
    assert weight.row_offsets is not None
    return sparse_rows(weight.values, weight.columns, weight.row_offsets, taps, channel_distance, block, height)
