"""Products with N:M weights: whether the N:M kernel is the fastest, and their lowering."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from graphprune.backends.tvm.kernels.builder import Machine
from graphprune.backends.tvm.kernels.nm import RowsProblem, nm_blocks, nm_function, permutations
from graphprune.backends.tvm.kernels.view import View, merged_stride
from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import Lowering, constant_array, is_constant, static_shape
from graphprune.backends.tvm.operators.region import plane_epilogue
from graphprune.backends.tvm.operators.views import input_value
from graphprune.backends.tvm.program.recording import Array
from graphprune.layouts import nm
from graphprune.packed.calls import is_packed_call, read_call

MOST_SLOTS = 3.0
"""Slots a nonzero up to which the kernel is faster than the one for any pattern (measured on single rows)."""

LEAST_ZEROS = 0.4
"""The share of zeros from which it is faster than the dense kernel (measured)."""


def choose_nm(node: ir.Node, machine: Machine, *, near: bool) -> nm.NMRows | None:
    """Return the weight [outputs, inputs] of a product in N:M groups, or None where another kernel is better.

    From a whole vector of rows on, vectors of positions do as much work at once, whatever the pattern. Where all
    weights are `near`, in the L2 cache, the kernel for any pattern is slower however few nonzeros there are.
    """
    weight = _weight(node)
    if weight is None or math.prod(static_shape(input_value(node, 0))[:-1]) >= machine.lanes:
        return None
    nonzeros = np.count_nonzero(weight)
    allowed = min(math.inf if near else MOST_SLOTS * nonzeros, (1 - LEAST_ZEROS) * weight.size)
    if nonzeros > allowed:
        return None
    forms = [(nm.count_kept(weight, of), of) for of in permutations(machine)]
    if not forms:
        return None
    keep, of = min(forms, key=lambda form: (nm.slot_count(weight.shape[1], *form), form))
    slots = weight.shape[0] * nm.slot_count(weight.shape[1], keep, of)
    if not 0 < slots <= allowed:
        return None
    rows = nm.pack(weight, keep, of)
    alpha = np.float32(node.attributes.get_float("alpha", 1.0))
    return rows if alpha == 1 else replace(rows, values=alpha * rows.values)


def _weight(node: ir.Node) -> Array | None:
    """The constant float32 weight of a product, outputs first."""
    if is_packed_call(node):
        return read_call(node).weight if not node.op_type.endswith("Conv") else None
    if node.op_type not in {"MatMul", "Gemm"} or node.domain or not is_constant(node.inputs[1]):
        return None
    array = constant_array(input_value(node, 1))
    if array.ndim != len("KN") or array.dtype != np.float32 or node.attributes.get_int("transA", 0) == 1:
        return None
    return np.ascontiguousarray(array if node.attributes.get_int("transB", 0) else array.T)


def lower_nm(lowering: Lowering, group: Group, x: View, weight: nm.NMRows, bias: View | None) -> None:
    """Lower the product of `x` [..., inputs], whose rows are read as they lie, with the weight."""
    shape, machine = static_shape(group.output), lowering.machine
    outputs, inputs = weight.shape
    row_stride = merged_stride(x.shape[:-1], x.strides[:-1])
    if row_stride is None or x.strides[-1] != 1:
        x = lowering.dense(x)
        row_stride = inputs
    rows = math.prod(x.shape[:-1])
    problem = RowsProblem(machine, x.size, rows, inputs, outputs, row_stride, x.offset)
    form = weight.keep, weight.of
    blocks = nm_blocks(weight.values, nm.places(weight), *form, machine.lanes, problem.tile_vectors)
    fused = plane_epilogue(lowering, group, ((), tuple(range(len(shape) - 1)), (len(shape) - 1,)), bias)
    function = nm_function("nm", problem, blocks, fused.arguments, fused.apply, fused.dtype)
    shifts = (2 * np.arange(machine.lanes)).astype(np.int32)
    constants = [lowering.constant(array) for array in (blocks.values, blocks.places, shifts)]
    name = f"{weight.keep}:{weight.of}"
    why = f"{rows} rows of inputs, and at most {weight.keep} of {weight.of} are kept"
    lowering.note(name, why, (name, "rows", "dense"))
    operations = 2 * rows * int(np.count_nonzero(weight.values))
    buffer = lowering.call(function, [x, *constants, *fused.views], rows * outputs, fused.dtype, operations)
    lowering.define(group.output, View.dense(buffer, fused.dtype, shape))
