"""Scales and zero points that stand for nothing, which neither onnx's checker nor its shape inference looks at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from graphprune.analysis.constants import constant_tensor
from graphprune.errors import UnsupportedModelError
from graphprune.graph.nodes import all_nodes, describe

_RUNTIME = "com.microsoft"


class _Step(NamedTuple):
    """Which inputs are a scale, its zero point if there may be one, and what they belong to; None: the output."""

    data: int | None
    scale: int
    zero_point: int | None = None


def _operand(data: int) -> _Step:
    return _Step(data, data + 1, data + 2)


def _result(scale: int) -> _Step:
    return _Step(None, scale, scale + 1)


_DEQUANTIZE, _QUANTIZE = (_operand(0),), (_result(1),)
_TWO = (_operand(0), _operand(3), _result(6))
_ONE = (_operand(0), _result(3))

_STEPS: dict[tuple[str, str], tuple[_Step, ...]] = {
    **{(domain, "DequantizeLinear"): _DEQUANTIZE for domain in ("", _RUNTIME)},
    **{(domain, "QuantizeLinear"): _QUANTIZE for domain in ("", _RUNTIME)},
    **{(domain, "QLinearConv"): _TWO for domain in ("", _RUNTIME)},
    ("", "QLinearMatMul"): _TWO,
    (_RUNTIME, "QLinearAdd"): _TWO,
    (_RUNTIME, "QLinearMul"): _TWO,
    **{
        (_RUNTIME, f"QLinear{kind}"): _ONE
        for kind in ("AveragePool", "GlobalAveragePool", "LeakyRelu", "ReduceMean", "Sigmoid", "Softmax")
    },
    (_RUNTIME, "QLinearWhere"): (_operand(1), _operand(4), _result(7)),
    (_RUNTIME, "QGemm"): (_operand(0), _operand(3), _result(7)),
    (_RUNTIME, "DynamicQuantizeMatMul"): (_operand(1),),
    (_RUNTIME, "MatMulIntegerToFloat"): (_Step(0, 2, 4), _Step(1, 3, 5)),
    (_RUNTIME, "MatMulNBits"): (_Step(1, 2),),
    (_RUNTIME, "GatherBlockQuantized"): (_Step(0, 2, 3),),
    (_RUNTIME, "QAttention"): (_Step(0, 3, 6), _Step(1, 4, 7)),
}

_WITHOUT_ZERO_POINT = (ir.DataType.INT32,)
"""Types that are only scaled: ONNX Runtime takes no other zero point than 0."""


def check_quantization(model: ir.Model, source: Path) -> None:
    """Check the constant scales and zero points of all nodes.

    A scale to multiply by may be 0, as of a channel that is zero throughout, or negative: ONNX Runtime's quantizer of
    4 bits gives the element farthest from 0 the level -8. One to divide by is positive.

    Raises:
        UnsupportedModelError: A scale is not finite, or a divisor that is not positive [GP146]; a zero point is of
            another type than its integers, or one of 32 bits that is not 0 [GP147].
    """
    for node in all_nodes(model):
        for step in _steps(node):
            for code, complaint in (("GP146", _wrong_scale(node, step)), ("GP147", _wrong_zero_point(node, step))):
                if complaint is not None:
                    raise UnsupportedModelError(f"'{source}': {describe(node)}: {complaint}", code=code)


def _steps(node: ir.Node) -> Iterator[_Step]:
    if (node.domain, node.op_type) == (_RUNTIME, "QLinearConcat"):
        yield _result(0)
        yield from map(_operand, range(2, len(node.inputs), 3))
    yield from _STEPS.get((node.domain, node.op_type), ())


def _input(node: ir.Node, index: int | None) -> ir.Value | None:
    return node.inputs[index] if index is not None and index < len(node.inputs) else None


def _wrong_scale(node: ir.Node, step: _Step) -> str | None:
    value = _input(node, step.scale)
    tensor = constant_tensor(value)
    if value is None or tensor is None or not tensor.dtype.is_floating_point():
        return None
    scales = tensor.numpy().astype(np.float64)
    is_fit = np.isfinite(scales) & ((scales > 0) | (step.data is not None))
    if is_fit.all():
        return None
    expected = "a positive number" if step.data is None else "a finite number"
    return f"scale '{value.name}' holds {scales[~is_fit].flat[0]:g}, expected {expected}"


def _wrong_zero_point(node: ir.Node, step: _Step) -> str | None:
    point, data = _input(node, step.zero_point), _input(node, step.data)
    if point is None or point.dtype is None:
        return None
    name, tensor = f"zero point '{point.name}'", constant_tensor(point)
    if data is not None and data.dtype not in (None, point.dtype):
        return f"{name} is of {point.dtype.name}, expected {data.dtype.name} as '{data.name}'"
    if point.dtype in _WITHOUT_ZERO_POINT and tensor is not None and tensor.numpy().any():
        return f"{name} of {point.dtype.name} holds another number than 0"
    return None
