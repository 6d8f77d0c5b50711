"""Products whose weight follows an N:M pattern: which the kernel for that is faster for, and lowering these."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.backends.tvm.fusion import Group
from graphprune.backends.tvm.kernels.builder import Machine
from graphprune.backends.tvm.kernels.nm import PERMUTATIONS, RowsProblem, nm_blocks, nm_function
from graphprune.backends.tvm.lowering import Lowering, constant_array, is_constant, static_shape
from graphprune.backends.tvm.operators.planes import packed_weight
from graphprune.backends.tvm.operators.region import plane_epilogue
from graphprune.backends.tvm.operators.views import input_value
from graphprune.backends.tvm.view import View, merged_stride
from graphprune.layouts import csr

MOST_SLOTS = 3.0
"""Slots a nonzero up to which the kernel is faster than the one for any pattern (measured on single rows)."""

MOST_NONZEROS = 0.6
"""The share of nonzeros up to which it is faster than the dense kernel (measured)."""


@dataclass(frozen=True)
class NmWeight:
    """A weight [outputs, inputs] of `keep` slots a group of `of` inputs: values and places, [outputs, slots]."""

    values: npt.NDArray[np.float32]
    places: npt.NDArray[np.uint8]
    keep: int
    of: int
    inputs: int

    def scaled(self, node: ir.Node) -> NmWeight:
        """The weight times the factor of a Gemm."""
        alpha = np.float32(node.attributes.get_float("alpha", 1.0))
        return self if alpha == 1 else replace(self, values=alpha * self.values)


def choose_nm(node: ir.Node, machine: Machine) -> NmWeight | None:
    """Return the weight of a product in the form that the kernel takes, or None where another kernel is better.

    From a whole vector of rows on, vectors of positions do as much work at once, whatever the pattern.
    """
    rows = _rows(node)
    if rows is None or math.prod(static_shape(input_value(node, 0))[:-1]) >= machine.lanes:
        return None
    allowed = min(MOST_SLOTS * rows.values.size, MOST_NONZEROS * math.prod(rows.shape))
    slots, keep, of = min(_slots(rows, of) for lanes, of in PERMUTATIONS if lanes == machine.lanes)
    return _nm_weight(rows, keep, of).scaled(node) if 0 < slots <= allowed else None


def _rows(node: ir.Node) -> csr.Rows | None:
    """The weight [outputs, inputs] of a product with a constant one, None where it is dense."""
    if node.op_type in {"PackedMatMul", "PackedGemm"}:
        weight = packed_weight(node)
        assert weight.values is not None
        assert weight.columns is not None
        assert weight.row_offsets is not None
        return csr.Rows(weight.values, weight.columns, weight.row_offsets, (weight.outputs, weight.inputs))
    if node.op_type not in {"MatMul", "Gemm"} or node.domain or not is_constant(node.inputs[1]):
        return None
    array = constant_array(input_value(node, 1))
    if array.ndim != 2 or array.dtype != np.float32 or node.attributes.get_int("transA", 0) == 1:
        return None
    outputs_first = array if node.attributes.get_int("transB", 0) else array.T
    sparse = np.count_nonzero(array) <= MOST_NONZEROS * array.size
    return csr.pack(np.ascontiguousarray(outputs_first)) if sparse else None


def _slots(rows: csr.Rows, of: int) -> tuple[int, int, int]:
    """Return slots of all outputs, slots of a group, and `of` again."""
    keep = int(_counts(rows, of)[0].max(initial=0))
    return rows.shape[0] * -(-rows.shape[1] // of) * keep, keep, of


def _counts(rows: csr.Rows, of: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the nonzeros of each group of each output, and the group of each nonzero."""
    groups = -(-rows.shape[1] // of)
    group = np.repeat(np.arange(rows.shape[0]), np.diff(rows.row_offsets)) * groups + rows.columns // of
    return np.bincount(group, minlength=rows.shape[0] * groups), group


def _nm_weight(rows: csr.Rows, keep: int, of: int) -> NmWeight:
    counts, group = _counts(rows, of)
    slot = np.arange(group.size) - (np.cumsum(counts) - counts)[group]
    values = np.zeros((counts.size, keep), np.float32)
    places = np.zeros((counts.size, keep), np.uint8)
    values[group, slot] = rows.values
    places[group, slot] = rows.columns % of
    shape = (rows.shape[0], -1)
    return NmWeight(values.reshape(shape), places.reshape(shape), keep, of, rows.shape[1])


def lower_nm(lowering: Lowering, group: Group, x: View, weight: NmWeight, bias: View | None) -> None:
    """Lower the product of `x` [..., inputs], whose rows are read as they lie, with the weight."""
    shape, machine = static_shape(group.output), lowering.machine
    row_stride = merged_stride(x.shape[:-1], x.strides[:-1])
    if row_stride is None or x.strides[-1] != 1:
        x = lowering.dense(x)
        row_stride = weight.inputs
    rows = math.prod(x.shape[:-1])
    problem = RowsProblem(machine, x.size, rows, weight.inputs, len(weight.values), row_stride, x.offset)
    blocks = nm_blocks(weight.values, weight.places, weight.keep, weight.of, machine.lanes, problem.tile_vectors)
    fused = plane_epilogue(lowering, group, ((), tuple(range(len(shape) - 1)), (len(shape) - 1,)), bias)
    function = nm_function("nm", problem, blocks, fused.arguments, fused.apply, fused.dtype)
    shifts = (2 * np.arange(machine.lanes)).astype(np.int32)
    constants = [lowering.constant(array) for array in (blocks.values, blocks.places, shifts)]
    buffer = lowering.call(function, [x, *constants, *fused.views], rows * len(weight.values), fused.dtype)
    lowering.define(group.output, View.dense(buffer, fused.dtype, shape))
