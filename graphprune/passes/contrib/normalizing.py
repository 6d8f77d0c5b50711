"""Layer normalisations of a sum, and those that only scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from graphprune.passes.contrib.contrib import Contrib, any_shape, finish, names, rank
from graphprune.passes.definition import Definition

_EPSILON = 1e-12  # the default of ONNX Runtime's own
_SUM = 3


def _skip_normalization(define: Definition) -> onnx.FunctionProto:
    """LayerNormalization along the last axis of input + skip + bias; the sum is an output too."""
    total = _sum(define, bias=4)
    operands = [define.inputs[index] for index in (2, 3) if define.has(index)]
    epsilon = define.node.attributes.get_float("epsilon", _EPSILON)
    return finish(define, {0: define("LayerNormalization", total, *operands, epsilon=epsilon), _SUM: total})


def _skip_scaling(define: Definition) -> onnx.FunctionProto:
    total = _sum(define, bias=3)
    return finish(define, {0: _scaled(define, total, define.inputs[2], -1, _EPSILON), _SUM: total})


def _sum(define: Definition, bias: int) -> str:
    total = define("Add", *define.inputs[:2])
    return define("Add", total, define.inputs[bias]) if define.has(bias) else total


def _scaling(define: Definition) -> onnx.FunctionProto:
    axis = define.node.attributes.get_int("axis", -1)
    return define.finish(_scaled(define, define.inputs[0], define.inputs[1], axis, 1e-5))


def _scaled(define: Definition, x: str, scale: str, axis: int, epsilon: float) -> str:
    """Divide by the root mean square from `axis` on, in float32 at least; Zhang and Sennrich, arXiv:1910.07467."""
    dtype = np.promote_types(define.dtype(), np.float32)
    wide, axes = define.cast(x, dtype), define.constant([*range(axis % rank(define), rank(define))])
    mean = define("ReduceMean", define("Mul", wide, wide), axes, keepdims=1)
    least = define.constant(define.node.attributes.get_float("epsilon", epsilon), dtype)
    divided = define("Div", wide, define("Sqrt", define("Add", mean, least)))
    return define("Mul", define.cast(divided, define.dtype()), scale)


def _embedding(define: Definition) -> onnx.FunctionProto:
    """LayerNormalization of the sum of word, position and segment embeddings; also the length of each row."""
    positions = define.inputs[8] if define.has(8) else None
    y, total = _embedded(define, define.inputs[2:7], positions)
    return finish(define, {0: y, 1: _lengths(define), 2: total})


def _quantized_embedding(define: Definition) -> onnx.FunctionProto:
    """The same of 8-bit integers, each of the five with a scale and a zero point for the whole of it."""
    absent = define.inputs[4] == ""
    parameters = [
        "" if index == 4 and absent else _real(define, index, *(define.inputs[first + index] for first in (6, 11)))  # noqa: PLR2004
        for index in range(2, 7)
    ]
    return finish(define, {0: _embedded(define, parameters, None)[0], 1: _lengths(define)})


def _real(define: Definition, index: int, scale: str, zero_point: str) -> str:
    return define("DequantizeLinear", define.inputs[index], define.reshape(scale, ()), define.reshape(zero_point, ()))


def _embedded(define: Definition, parameters: Sequence[str], positions: str | None) -> tuple[str, str]:
    """The normalised sum and the sum, of tables of words, positions and segments, and factors and terms after it."""
    words, places, segments, *affine = parameters
    total = define("Gather", words, define.inputs[0])
    at = positions or define.constant(np.arange(define.shape()[1]), np.int32)
    total = define("Add", total, define("Gather", places, at))
    if define.has(1):
        total = define("Add", total, define("Gather", segments, define.inputs[1]))
    epsilon = define.node.attributes.get_float("epsilon", _EPSILON)
    return define("LayerNormalization", total, *affine, epsilon=epsilon), total


def _lengths(define: Definition) -> str:
    if not define.has(7):
        return define.constant(np.zeros(define.shape()[0]), np.int32)
    return define("ReduceSum", define.inputs[7], define.constant([1]), keepdims=0)


NORMALIZING: dict[str, Contrib] = {
    "SkipLayerNormalization": any_shape(_skip_normalization, "epsilon", 5, (0, _SUM)),
    "SkipSimplifiedLayerNormalization": any_shape(_skip_scaling, "epsilon", 4, (0, _SUM)),
    "EmbedLayerNormalization": Contrib(
        _embedding, names("epsilon mask_index_type"), frozenset(range(9)), frozenset({0, 1, 2})
    ),
    "QEmbedLayerNormalization": Contrib(
        _quantized_embedding, names("epsilon"), frozenset(range(18)), frozenset({0, 1})
    ),
}

SIMPLIFIED = any_shape(_scaling, "axis epsilon stash_type", 2)
"""`SimplifiedLayerNormalization`, which ONNX Runtime has in the domain of ONNX."""
