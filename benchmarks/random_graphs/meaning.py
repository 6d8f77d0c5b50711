"""What is determined: operators that are exact, those that jump, and operands for which an operator means nothing.

The standard, or ONNX Runtime, leaves some results to the machine: integers divided by zero end the process, floats out
of an integer type's range become anything. Nothing is compared there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import onnx

from benchmarks.random_graphs.elements import BFLOAT16, DTYPES, element_type, is_float, largest

MOVING = frozenset(
    {
        *("CastLike", "CenterCropPad", "Compress", "Concat", "DepthToSpace", "Dropout", "Expand", "Flatten", "Gather"),
        *("GatherElements", "GatherND", "Identity", "OneHot", "Pad", "Reshape", "ReverseSequence", "ScatterElements"),
        *("ScatterND", "Slice", "SpaceToDepth", "Split", "Squeeze", "TensorScatter", "Tile", "Transpose", "Trilu"),
        *("Unsqueeze", "Where", "MaxPool", "GlobalMaxPool", "MaxUnpool", "Max", "Min", "Relu", "Clip", "Neg", "Abs"),
        *("PRelu", "Cast"),
    }
)
"""They move elements, choose between them, or round once, and are continuous."""

JUMPING = frozenset(
    {
        *("ArgMax", "ArgMin", "BitCast", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "Ceil"),
        *("DynamicQuantizeLinear", "Equal", "Floor", "Greater", "GreaterOrEqual", "Hardmax", "IsInf", "IsNaN", "Less"),
        *("LessOrEqual", "Mod", "NonZero", "QuantizeLinear", "Round", "Shrink", "Sign", "ThresholdedRelu", "TopK"),
        *("And", "Or", "Xor", "Not", "GridSample", "RoiAlign", "QLinearConv", "QLinearMatMul", "Resize", "Range"),
        *("Unique", "NonMaxSuppression"),
    }
)
"""Their operands must be exact: the least difference may become a large one."""

ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div", "Sum"})
"""Rounded once, as IEEE 754 says; `Sum` of at most two. Torch computes square roots by a library, to one unit."""

FILLING = frozenset({"HannWindow", "HammingWindow", "BlackmanWindow"})
"""Their results are floats that are rounded, whatever the operands."""

EQUAL = 1e-4
"""Numbers whose variance is less of their mean square are nearly equal."""

SQUARES = 32.0
"""Larger terms of an LRN leave too much of their rounding in the next channel's sum."""

REST = 1e-6
"""Of the largest element, what the rounding of a sum in float32 may leave."""

TINY = 1e-18
"""The square of a smaller number loses digits in float32, or is zero."""

CUT = frozenset({"ReduceL2", "ReduceLogSum", "ReduceLogSumExp"})
"""Of integers, they are rounded and then cut: just below an integer, or at it."""

SUMMING = frozenset(
    {
        *("Conv", "ConvTranspose", "Gemm", "MatMul", "ReduceSum", "ReduceMean", "ReduceProd", "ReduceSumSquare"),
        *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "CumSum", "CumProd", "Einsum", "AveragePool"),
        *("GlobalAveragePool", "LpPool", "GlobalLpPool", "LpNormalization", "MeanVarianceNormalization", "LRN", "Mean"),
        *("InstanceNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization", "Softmax"),
        *("LogSoftmax", "BatchNormalization", "Attention", "LSTM", "GRU", "RNN", "DFT", "STFT", "Det", "Sum"),
        *("CausalConvWithState", "LinearAttention", "RotaryEmbedding", "Swish", "Col2Im", "GridSample", "Resize"),
        *("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss", "SwiGLU", "AffineGrid", "Gelu", "Mish"),
    }
)
"""Their intermediate results may overflow in one order and not in another: no operand is that large."""


def is_exact(node: onnx.NodeProto, dtypes: Sequence[np.dtype]) -> bool:
    """Whether the result is determined, bit for bit, by exact operands."""
    if node.op_type in FILLING:
        return False
    if not any(map(is_float, dtypes)) or node.op_type in MOVING:
        return True
    if node.op_type == "Sum":
        return len(node.input) < 3
    if node.op_type in {"GridSample", "RoiAlign", "Resize", "QLinearConv", "QLinearMatMul", "Range", "Shrink"}:
        return False
    return node.op_type in ARITHMETIC or node.op_type in JUMPING


def jumps(node: onnx.NodeProto) -> bool:
    """Whether a small change of an operand may become a large one of the result."""
    if node.op_type in {"Cast", "CastLike"}:
        return not _is_float_type(_target(node))
    return node.op_type in JUMPING


def divides_by_rest(node: onnx.NodeProto, divisor: np.ndarray) -> bool:
    """Whether a rounded divisor may be what is left of a zero: an element is far below the others."""
    if node.op_type not in {"Div", "Reciprocal"} or not is_float(divisor.dtype):
        return False
    size = np.abs(divisor.astype(np.float64))
    return bool(np.any((size > 0) & (size < REST * size[np.isfinite(size)].max(initial=0.0))))


def _target(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "to"), 0)


def _is_float_type(number: int) -> bool:
    return any(element_type(dtype) == number and is_float(dtype) for dtype in DTYPES.values())


def is_determined(node: onnx.NodeProto, arrays: Sequence[np.ndarray]) -> bool:
    """Whether the result of these operands is one that every implementation must give."""
    rule = _RULES.get(node.op_type)
    if rule is not None:
        return rule(node, arrays)
    if node.op_type.startswith("Reduce") and not any(is_float(array.dtype) for array in arrays):
        return node.op_type not in CUT and _is_small_reduction(arrays[0])
    return node.op_type not in SUMMING or _all_floats_small(node, arrays)


def _is_small_product(node: onnx.NodeProto, arrays: Sequence[np.ndarray]) -> bool:
    """In no order is there an infinity on the way, which a zero behind it makes NaN."""
    if not is_float(arrays[0].dtype):
        return _is_small_reduction(arrays[0])
    with np.errstate(all="ignore"):
        worst = np.prod(np.maximum(np.abs(arrays[0].astype(np.float64)), 1))
    return bool(worst < largest(arrays[0].dtype)) and _all_floats_small(node, arrays)


def _has_positive_divisors(_node: onnx.NodeProto, arrays: Sequence[np.ndarray]) -> bool:
    return is_float(arrays[0].dtype) or bool(np.all(arrays[1] > 0))


def _shrinks_in_float32(node: onnx.NodeProto, arrays: Sequence[np.ndarray]) -> bool:
    """ONNX Runtime computes it in float32, whatever the type; below zero there are no integers without a sign."""
    if arrays[0].dtype.kind == "u" and any(attribute.f < 0 for attribute in node.attribute):
        return False
    narrow = arrays[0].dtype in (np.float16, np.float32)
    return narrow or bool(np.all(np.abs(arrays[0].astype(np.float64)) < 1 << 20))


def _is_ordered(_node: onnx.NodeProto, arrays: Sequence[np.ndarray]) -> bool:
    """Where NaN is among numbers is not said, nor which zero is the larger; ONNX Runtime loses NaN in many."""
    floats = [array.astype(np.float64) for array in arrays if is_float(array.dtype)]
    zeros = [np.signbit(array[array == 0]) for array in floats]
    return not any(
        np.isnan(array).any() or (sign.any() and not sign.all()) for array, sign in zip(floats, zeros, strict=True)
    )


def _is_padded_as_the_standard_says(node: onnx.NodeProto) -> bool:
    """With SAME and dilations ONNX Runtime has other pads, and other shapes than it infers."""
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    return not (attributes.get("auto_pad", b"").startswith(b"SAME") and max(attributes.get("dilations", [1])) > 1)


def _windows_have_elements(node: onnx.NodeProto, arrays: Sequence[np.ndarray]) -> bool:
    """With dilations a window may step over all that there is, from padding to padding."""
    attributes = {attribute.name: attribute.ints for attribute in node.attribute}
    extents = arrays[0].shape[2:]
    steps = attributes.get("dilations", [1] * len(extents))
    return all(step <= max(n - 1, 1) for step, n in zip(steps, extents, strict=False))


def _sums_squares_of_a_size(node: onnx.NodeProto, arrays: Sequence[np.ndarray]) -> bool:
    """LRN: ONNX Runtime adds and subtracts squares channel by channel, so that large ones leave a rest."""
    alpha = next((attribute.f for attribute in node.attribute if attribute.name == "alpha"), 1e-4)
    return bool(np.all(alpha * np.square(arrays[0].astype(np.float64)) < SQUARES)) and _all_floats_small(node, arrays)


def _has_a_variance(node: onnx.NodeProto, arrays: Sequence[np.ndarray]) -> bool:
    """That of equal numbers is a rest of rounding, of either sign."""
    axes = tuple(next((attribute.ints for attribute in node.attribute if attribute.name == "axes"), (0, 2, 3)))
    wide = arrays[0].astype(np.float64)
    if any(not -wide.ndim <= axis < wide.ndim for axis in axes):
        return False
    with np.errstate(all="ignore"):
        return bool(np.all(wide.var(axis=axes) > EQUAL * np.square(wide).mean(axis=axes)))


def _has_limits(_node: onnx.NodeProto, arrays: Sequence[np.ndarray]) -> bool:
    """NaN limits nothing, or all; the last finite float32 is no half, whose limit it was before operator set 11."""
    if any(np.isnan(limit.astype(np.float64)).any() for limit in arrays[1:]):
        return False
    return arrays[0].dtype not in (BFLOAT16, np.float16) or bool(np.all(np.isfinite(arrays[0].astype(np.float64))))


def _has_squares(node: onnx.NodeProto, arrays: Sequence[np.ndarray]) -> bool:
    """Those of the smallest numbers are zero, unless they are scaled first."""
    floats = [np.abs(array.astype(np.float64)) for array in arrays if is_float(array.dtype)]
    return _all_floats_small(node, arrays) and not any(np.any((array > 0) & (array < TINY)) for array in floats)


def _is_signed(_node: onnx.NodeProto, arrays: Sequence[np.ndarray]) -> bool:
    """The sign of NaN is NaN, but for halves 0."""
    return arrays[0].dtype not in (BFLOAT16, np.float16) or not np.isnan(arrays[0].astype(np.float64)).any()


def _has_no_negative_zero(_node: onnx.NodeProto, arrays: Sequence[np.ndarray]) -> bool:
    """Of which sign a zero is depends on the order of a sum, and decides that of an infinity."""
    return not is_float(arrays[0].dtype) or not np.signbit(arrays[0][arrays[0] == 0].astype(np.float64)).any()


def _divides(node: onnx.NodeProto, _arrays: Sequence[np.ndarray]) -> bool:
    return next((attribute.f for attribute in node.attribute if attribute.name == "alpha"), 1.0) != 0


def _shifts_within(_node: onnx.NodeProto, arrays: Sequence[np.ndarray]) -> bool:
    return bool(np.all(arrays[1] < 8 * arrays[0].dtype.itemsize))


def _all_floats_small(_node: onnx.NodeProto, arrays: Sequence[np.ndarray]) -> bool:
    return all(_all_small(array) for array in arrays if is_float(array.dtype))


def _all_small(array: np.ndarray) -> bool:
    return bool(np.all(np.abs(array.astype(np.float64)) < math.sqrt(largest(array.dtype)) / 64))


def _is_small_power(_node: onnx.NodeProto, arrays: Sequence[np.ndarray]) -> bool:
    base, exponent = arrays
    if is_float(base.dtype) and is_float(exponent.dtype):
        return True
    with np.errstate(all="ignore"):
        result = np.power(base.astype(np.float64), exponent.astype(np.float64))
    limit = 2.0**24 if is_float(base.dtype) else float(np.iinfo(base.dtype).max)
    least = -limit if base.dtype.kind != "u" else 0
    integral = is_float(base.dtype) or bool(np.all(exponent >= 0))
    return integral and bool(np.all(np.isfinite(result) & (result >= least) & (result <= limit)))


def _fits(node: onnx.NodeProto, arrays: Sequence[np.ndarray]) -> bool:
    if not is_float(arrays[0].dtype):
        return True
    target = _target(node) or (element_type(arrays[1].dtype) if len(arrays) > 1 else 0)
    dtype = next((dtype for dtype in DTYPES.values() if element_type(dtype) == target), None)
    if dtype is None or is_float(dtype) or dtype == np.bool_:
        return dtype is not None
    limits, wide = np.iinfo(dtype), arrays[0].astype(np.float64)
    return bool(np.all(np.isfinite(wide) & (wide > float(limits.min) - 1) & (wide < float(limits.max))))


def _is_small_reduction(array: np.ndarray) -> bool:
    if array.dtype == np.bool_:
        return True
    wide = np.abs(array.astype(np.float64))
    with np.errstate(all="ignore"):
        worst = max(float(np.sum(wide * wide)), float(np.prod(np.maximum(wide, 1))))
    return worst < float(np.iinfo(array.dtype).max)


_RULES: dict[str, Callable[[onnx.NodeProto, Sequence[np.ndarray]], bool]] = {
    **dict.fromkeys(("Div", "Mod"), _has_positive_divisors),
    **dict.fromkeys(("ArgMax", "ArgMin", "TopK", "Hardmax", "ReduceMax", "ReduceMin"), _is_ordered),
    **dict.fromkeys(("GlobalMaxPool", "ScatterElements", "ScatterND"), _is_ordered),
    "MaxPool": lambda node, arrays: (
        _is_padded_as_the_standard_says(node) and _windows_have_elements(node, arrays) and _is_ordered(node, arrays)
    ),
    "AveragePool": lambda node, arrays: _is_padded_as_the_standard_says(node) and _all_floats_small(node, arrays),
    "LpPool": lambda node, arrays: _is_padded_as_the_standard_says(node) and _has_squares(node, arrays),
    "LRN": _sums_squares_of_a_size,
    **dict.fromkeys(("Cast", "CastLike"), _fits),
    **dict.fromkeys(("QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "RoiAlign"), _all_floats_small),
    "QLinearMatMul": _all_floats_small,
    "BitShift": _shifts_within,
    **dict.fromkeys(("ReduceProd", "CumProd"), _is_small_product),
    **dict.fromkeys(("GlobalLpPool", "LpNormalization"), _has_squares),
    "Celu": _divides,
    "Clip": _has_limits,
    "MeanVarianceNormalization": lambda node, arrays: _has_a_variance(node, arrays) and _all_floats_small(node, arrays),
    "Pow": _is_small_power,
    "Reciprocal": _has_no_negative_zero,
    "Shrink": _shrinks_in_float32,
    "Sign": _is_signed,
}
