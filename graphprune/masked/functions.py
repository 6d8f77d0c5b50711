"""The functions behind soft-mask calls: `m * w` with `m = sigmoid((score² - threshold²) / temperature)`.

Source: PDP (arXiv 2305.11203). A function takes the weight, its budget (the final share of zeros), the ratio (how far
the ramp is) and the temperature, and gives the masked weight. Budget and ratio are doubles: the number that goes is
rounded as Python rounds it; the mask is computed in the type of the temperature, the result is of the weight's type.
Where nothing goes, or a temperature relative to a threshold of zero has no width, the mask is one.

The threshold is the mean of two neighbours in the order of the scores, found from the shorter end: from the top, or,
with all signs turned, from the bottom. No divisor is ever zero, so that gradients through the body stay finite.
"""

from __future__ import annotations

import onnx_ir as ir

from graphprune.errors import PreconditionError
from graphprune.graph.functions import DOMAIN, add_function, drop_uncalled

OLDEST_OPSET = 15
"""The first operator set with `CastLike`."""

_CONSTANTS = """
  none = Constant <value_int = 0> ()
  single = Constant <value_int = 1> ()
  first = Constant <value_ints = [0]> ()
  last = Constant <value_ints = [-1]> ()
  last_but_one = Constant <value_ints = [-2]> ()
  end = Constant <value_ints = [9223372036854775807]> ()
  float_zero = Constant <value_float = 0.0> ()
  float_one = Constant <value_float = 1.0> ()
  float_minus_one = Constant <value_float = -1.0> ()
  zero = CastLike (float_zero, temperature)
  one = CastLike (float_one, temperature)
  minus_one = CastLike (float_minus_one, temperature)
  wide = CastLike (weight, temperature)
  shape = Shape (weight)
"""

_NEIGHBOURS = """
  units = Size (scores)
  wide_units = CastLike (units, budget)
  share = Mul (budget, ratio)
  exact_count = Mul (share, wide_units)
  rounded_count = Round (exact_count)
  pruned = Cast <to = 7> (rounded_count)
  nothing = Equal (pruned, none)
  kept = Sub (units, pruned)
  from_bottom = Less (pruned, kept)
  sign = Where (from_bottom, minus_one, one)
  skipped = Min (pruned, kept)
  depth = Add (skipped, single)
  depth_line = Reshape (depth, last)
  score_line = Reshape (scores, last)
  signed_scores = Mul (score_line, sign)
  top, places = TopK (signed_scores, depth_line)
  signed_neighbours = Slice (top, last_but_one, end)
  neighbours = Abs (signed_neighbours)
"""

_TEMPERATURE = """
  limit = Mul (threshold, threshold)
  relative = Constant <value_int: int = @relative> ()
  is_relative = Cast <to = 9> (relative)
  followed = Mul (temperature, limit)
  width = Where (is_relative, followed, temperature)
  no_width = Equal (width, zero)
  whole = Or (nothing, no_width)
  divisor = Where (whole, one, width)
"""

_EXCESS_OF_MAGNITUDES = """
  below = Sub (scores, threshold)
  above = Add (scores, threshold)
  excess = Mul (below, above)
"""

_SIGMOID = """
  scaled = Div (excess, divisor)
  soft = Sigmoid (scaled)
  unit_mask = Where (whole, one, soft)
"""

_PRODUCT = """
  product = Mul (mask, wide)
  masked = CastLike (product, weight)
"""

_UNSTRUCTURED = f"""{_CONSTANTS}
  scores = Abs (wide)
{_NEIGHBOURS}
  threshold = ReduceMean <keepdims = 0> (neighbours)
{_TEMPERATURE}{_EXCESS_OF_MAGNITUDES}{_SIGMOID}
  mask = Identity (unit_mask)
{_PRODUCT}"""

# Rows of inputs become groups in place; what a last group lacks scores less than any weight.
_NM = f"""{_CONSTANTS}
  axis = Constant <value_int: int = @input_axis> ()
  axis_line = Reshape (axis, last)
  inputs = Gather (shape, axis_line)
  of = Constant <value_int: int = @of> ()
  of_line = Reshape (of, last)
  keep = Constant <value_int: int = @keep> ()
  keep_line = Reshape (keep, last)
  depth_line = Add (keep_line, single)
  flat = Flatten <axis: int = @input_axis> (wide)
  line_shape = Concat <axis = 0> (first, inputs, last)
  lines = Reshape (flat, line_shape)
  magnitudes = Abs (lines)
  minus_inputs = Neg (inputs)
  missing = Mod (minus_inputs, of_line)
  pads = Concat <axis = 0> (first, first, first, first, missing, first)
  padded = Pad (magnitudes, pads, minus_one)
  padded_shape = Shape (padded)
  after = Slice (padded_shape, last, end)
  group_shape = Concat <axis = 0> (first, last, of_line, after)
  scores = Reshape (padded, group_shape)
  top, places = TopK <axis = 2> (scores, depth_line)
  axis_two = Constant <value_ints = [2]> ()
  lowest_kept = Slice (top, last_but_one, last, axis_two)
  highest_pruned = Slice (top, last, end, axis_two)
  sum = Add (lowest_kept, highest_pruned)
  float_half = Constant <value_float = 0.5> ()
  half = CastLike (float_half, ratio)
  half_ratio = Mul (half, ratio)
  factor = CastLike (half_ratio, temperature)
  halfway = Mul (sum, factor)
  is_short = Less (highest_pruned, zero)
  threshold = Where (is_short, zero, halfway)
  nothing = Equal (threshold, zero)
{_TEMPERATURE}{_EXCESS_OF_MAGNITUDES}{_SIGMOID}
  padded_mask = Reshape (unit_mask, padded_shape)
  axis_one = Constant <value_ints = [1]> ()
  line_mask = Slice (padded_mask, first, inputs, axis_one)
  mask = Reshape (line_mask, shape)
{_PRODUCT}"""

# Each axis is split into blocks and the extent of one, also where that is 1: the sums over the latter broadcast back.
_BLOCK = f"""{_CONSTANTS}
  rows = Constant <value_int: int = @rows> ()
  columns = Constant <value_int: int = @columns> ()
  output_axis = Constant <value_int: int = @output_axis> ()
  input_axis = Constant <value_int: int = @input_axis> ()
  rank_line = Shape (shape)
  rank = Gather (rank_line, none)
  axes = Range (none, rank, single)
  is_output = Equal (axes, output_axis)
  row_extents = Where (is_output, rows, single)
  is_input = Equal (axes, input_axis)
  column_extents = Where (is_input, columns, single)
  extents = Mul (row_extents, column_extents)
  counts = Div (shape, extents)
  column = Constant <value_ints = [-1, 1]> ()
  count_column = Reshape (counts, column)
  extent_column = Reshape (extents, column)
  pairs = Concat <axis = 1> (count_column, extent_column)
  view = Reshape (pairs, last)
  two = Constant <value_int = 2> ()
  view_rank = Mul (rank, two)
  inner_axes = Range (single, view_rank, two)
  blocks = Reshape (wide, view)
  squares = Mul (blocks, blocks)
  sums = ReduceSum <keepdims = 1> (squares, inner_axes)
  size = Mul (rows, columns)
  wide_size = CastLike (size, temperature)
  scores = Div (sums, wide_size)
{_NEIGHBOURS}
  norms = Sqrt (neighbours)
  threshold = ReduceMean <keepdims = 0> (norms)
{_TEMPERATURE}
  excess = Sub (scores, limit)
{_SIGMOID}
  block_mask = Expand (unit_mask, view)
  mask = Reshape (block_mask, shape)
{_PRODUCT}"""

_BODIES = {
    "UnstructuredSoftMask": ("relative", _UNSTRUCTURED),
    "NMSoftMask": ("relative, keep, of, input_axis", _NM),
    "BlockSoftMask": ("relative, rows, columns, output_axis, input_axis", _BLOCK),
}

NAMES = tuple(_BODIES)
"""The functions."""


def function_text(name: str, opset: int, output: str = "masked") -> str:
    """Return the function `name` as ONNX text, for a model of the main domain's version `opset`.

    Args:
        name: One of `NAMES`.
        opset: Of the model.
        output: What it gives: the masked weight, or `mask`, the mask alone in the weight's shape.
    """
    attributes, body = _BODIES[name]
    head = f"{name} <{attributes}> (weight, budget, ratio, temperature) => ({output})"
    return f'<domain: "{DOMAIN}", opset_import: ["" : {opset}]>\n{head}\n{{{body}}}'


def define(model: ir.Model, name: str) -> None:
    """Make sure that `model` has the function `name`.

    Raises:
        PreconditionError: Its operator set is older than the functions need (GP365).
    """
    opset = model.graph.opset_imports.get("", 0)
    if opset < OLDEST_OPSET:
        raise PreconditionError(f"model has operator set {opset}, soft masks need {OLDEST_OPSET}", code="GP365")
    add_function(model, function_text(name, opset))


def drop_unused_functions(model: ir.Model) -> None:
    """Remove the soft-mask functions that no call is left of, and the domain with the last function of all."""
    drop_uncalled(model, NAMES)
