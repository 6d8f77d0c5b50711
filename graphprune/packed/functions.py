"""The functions behind packed calls: each decodes its rows into a dense weight, then runs the ordinary operator.

The decoding costs one pass over the nonzeros and one over the dense weight. The row of each nonzero is the number of
rows, the first apart, that start at or before it: a one is added where each starts, then summed along. Nothing in the
bodies fixes a floating-point type. Everything long is a matrix of one line: shape inference traces the elements of
integer vectors, which takes seconds a model where they are indices.
"""

from __future__ import annotations

import onnx_ir as ir

from graphprune.errors import PreconditionError
from graphprune.local_functions import add_function, drop_uncalled
from graphprune.stages import DOMAIN

OLDEST_OPSET = 16
"""The first operator set with `ScatterElements` that adds."""

_DECODE = """
  shape = Constant <value_ints: ints = @weight_shape> ()
  zero = Constant <value_ints = [0]> ()
  one = Constant <value_ints = [1]> ()
  minus_one = Constant <value_ints = [-1]> ()
  line = Constant <value_ints = [1, -1]> ()
  size = ReduceProd <keepdims = 1> (shape)
  row_count = Slice (shape, zero, one)
  row_size = Div (size, row_count)
  value_line = Reshape (values, line)
  column_line = Reshape (columns, line)
  offset_line = Reshape (row_offsets, line)
  wide_columns = Cast <to = 7> (column_line)
  wide_offsets = Cast <to = 7> (offset_line)
  starts = Slice (wide_offsets, one, minus_one, one)
  start_shape = Shape (starts)
  ones = ConstantOfShape <value = int64[1] {1}> (start_shape)
  nonzeros = Shape (values)
  slot_count = Add (nonzeros, one)
  slot_shape = Concat <axis = 0> (one, slot_count)
  slots = ConstantOfShape <value = int64[1] {0}> (slot_shape)
  steps = ScatterElements <axis = 1, reduction = "add"> (slots, starts, ones)
  axis = Constant <value_int = 1> ()
  row_ids = CumSum (steps, axis)
  value_rows = Slice (row_ids, zero, nonzeros, one)
  row_bases = Mul (value_rows, row_size)
  places = Add (row_bases, wide_columns)
  flat_shape = Concat <axis = 0> (one, size)
  untyped = ConstantOfShape <value = float[1] {0}> (flat_shape)
  blank = CastLike (untyped, values)
  flat = ScatterElements <axis = 1> (blank, places, value_line)
  weight = Reshape (flat, shape)
"""

_HEADS_AND_TAILS = {
    "PackedConv": (
        "<weight_shape, strides, pads, dilations, group> (X, values, columns, row_offsets, B) => (Y)",
        """Y = Conv <strides: ints = @strides, pads: ints = @pads, dilations: ints = @dilations, group: int = @group>
             (X, weight, B)""",
    ),
    "PackedMatMul": (
        "<weight_shape> (X, values, columns, row_offsets) => (Y)",
        """transposed = Transpose <perm = [1, 0]> (weight)
        Y = MatMul (X, transposed)""",
    ),
    "PackedGemm": (
        "<weight_shape, alpha, beta> (A, values, columns, row_offsets, C) => (Y)",
        "Y = Gemm <alpha: float = @alpha, beta: float = @beta, transB = 1> (A, weight, C)",
    ),
}

OPERATORS = {"PackedConv": "Conv", "PackedMatMul": "MatMul", "PackedGemm": "Gemm"}
"""Packed call -> the operator that it stands for."""


def function_text(name: str, opset: int) -> str:
    """Return the function `name` as ONNX text, for a model of the main domain's version `opset`."""
    head, tail = _HEADS_AND_TAILS[name]
    return f'<domain: "{DOMAIN}", opset_import: ["" : {opset}]>\n{name} {head}\n{{{_DECODE}  {tail}\n}}'


def define(model: ir.Model, name: str) -> None:
    """Make sure that `model` has the function `name`.

    Raises:
        PreconditionError: Its operator set is older than the functions need (GP344).
    """
    opset = model.graph.opset_imports.get("", 0)
    if opset < OLDEST_OPSET:
        raise PreconditionError(f"model has operator set {opset}, packed calls need {OLDEST_OPSET}", code="GP344")
    add_function(model, function_text(name, opset))


def drop_unused_functions(model: ir.Model) -> None:
    """Remove the packed functions that no call is left of, and the domain with the last function of all."""
    drop_uncalled(model, OPERATORS)
