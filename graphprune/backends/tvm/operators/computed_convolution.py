"""Conv whose weight another node computes, as modulated ones: packed in each run, for the dense kernel."""

from __future__ import annotations

from dataclasses import replace

from graphprune.backends.tvm.kernels.dense import DenseBlocks, dense_function, register_tile, tap_table
from graphprune.backends.tvm.kernels.problem import PlaneProblem, channel_distance
from graphprune.backends.tvm.kernels.view import View
from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import Lowering, static_dtype, static_shape
from graphprune.backends.tvm.operators.convolution import bias_view, channel_epilogue, window_problem
from graphprune.backends.tvm.operators.views import input_value
from graphprune.backends.tvm.operators.windows import as_images, window_of


def computed_convolution(lowering: Lowering, group: Group) -> None:
    """Conv over one or two axes, of float32."""
    node, shape = group.anchor, static_shape(group.output)
    x, weight = (lowering.view(input_value(node, index)) for index in (0, 1))
    window = window_of(node, weight.shape[2:], x.shape[2:])
    padded, problem, taps = window_problem(lowering, as_images(x), window, weight.shape[0])
    blocks = _blocks(problem, weight, node.attributes.get_int("group", 1))
    fused, distance = channel_epilogue(lowering, group, bias_view(lowering, group, 2)), channel_distance(problem)
    function = dense_function("dense", problem, blocks, distance, fused.arguments, fused.apply, fused.dtype)
    table = lowering.constant(tap_table(blocks.inputs, taps, distance))
    operations = 2 * weight.elements * problem.images * problem.positions
    inputs = [padded, _packed(lowering, weight, blocks), table, *fused.views]
    size = problem.images * problem.outputs * problem.positions
    buffer = lowering.call(function, inputs, size, fused.dtype, operations)
    lowering.define(group.output, View.dense(buffer, static_dtype(group.output), shape))


def _blocks(problem: PlaneProblem, weight: View, groups: int) -> DenseBlocks:
    """Blocks of as many rows as divide the channels of a group: packing them is one transposition."""
    outputs, inputs = weight.shape[0] // groups, weight.shape[1]
    most, vectors = register_tile(problem.machine, problem.tiling.span, outputs)
    rows = next(rows for rows in range(most, 0, -1) if outputs % rows == 0)
    return DenseBlocks(groups, outputs, inputs, weight.elements // weight.shape[0], rows, vectors)


def _packed(lowering: Lowering, weight: View, blocks: DenseBlocks) -> View:
    flat = lowering.dense(weight)
    shape = (blocks.groups * blocks.blocks, blocks.rows, blocks.depth)
    strides = (blocks.rows * blocks.depth, blocks.depth, 1)
    return lowering.copied(replace(flat, shape=shape, strides=strides), (0, 2, 1))
