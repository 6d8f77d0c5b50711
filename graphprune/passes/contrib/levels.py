"""Floats as integers and back, for widths that ONNX lacked when ONNX Runtime had them, or that no kernel has."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir

from graphprune.passes.contrib.contrib import Contrib, any_shape, kept, rank, unsupported
from graphprune.passes.definition import Attribute, Definition

_Type = np.dtype[np.generic]

_BOUNDS: dict[_Type, tuple[int, int]] = {np.dtype(ml_dtypes.int4): (-8, 7), np.dtype(ml_dtypes.uint4): (0, 15)}
"""Of integers that are held in bytes."""

_WORDS = (np.dtype(np.int16), np.dtype(np.uint16))
"""ONNX quantizes to them from opset 21 on."""


def in_bytes(node: ir.Node) -> onnx.FunctionProto | None:
    """ONNX's (de)quantization of integers of 4 bits, with a byte for each; None of another node."""
    if node.domain or node.op_type not in LEVELS:
        return None
    define, is_up = Definition(node), node.op_type == "DequantizeLinear"
    value = node.inputs[0] if is_up else node.outputs[0]
    if value is None or value.dtype not in (ir.DataType.INT4, ir.DataType.UINT4):
        return None
    if is_up:
        return define.finish(_dequantized(define, **kept(define, "axis block_size output_dtype")))
    return define.finish(_quantized(define, np.dtype(value.dtype.numpy()), **kept(define, "axis block_size saturate")))


def _quantize(define: Definition) -> onnx.FunctionProto:
    """As ONNX defines it, in the element type of the zero point."""
    kind: _Type = define.dtype(2) if define.has(2) else np.dtype(np.uint8)
    if kind in _WORDS:
        return define.finish(_to_words(define, kind))
    axis = define.node.attributes.get_int("axis", 1)
    if kind in _BOUNDS:
        return define.finish(_quantized(define, kind, axis=axis))
    return define.finish(define("QuantizeLinear", *define.inputs, axis=axis))


def _dequantize(define: Definition) -> onnx.FunctionProto:
    if define.dtype() in _WORDS:
        return define.finish(_from_words(define))
    return define.finish(_dequantized(define, axis=define.node.attributes.get_int("axis", 1)))


def _quantized(define: Definition, kind: _Type, **attributes: Attribute) -> str:
    byte = _byte(kind)
    given = [_widened(define, 2)] if define.has(2) else []
    if not given:
        attributes["output_dtype"] = int(onnx.helper.np_dtype_to_tensor_dtype(byte))
    y = define("QuantizeLinear", *define.inputs[:2], *given, **attributes)
    return define("Clip", y, *(define.constant(bound, byte) for bound in _BOUNDS[kind]))


def _dequantized(define: Definition, **attributes: Attribute) -> str:
    given = [_widened(define, 2)] if define.has(2) else []
    return define("DequantizeLinear", _widened(define, 0), define.inputs[1], *given, **attributes)


def _widened(define: Definition, index: int) -> str:
    """An operand of 4 bits in bytes, which it is already where it was computed here; another as it is."""
    kind, known = define.dtype(index), define.known(index)
    if kind not in _BOUNDS:
        return define.inputs[index]
    if known is None:
        return define.cast(define.inputs[index], _byte(kind))
    return define.constant(known.astype(_byte(kind)), _byte(kind))


def _byte(kind: _Type) -> _Type:
    return np.dtype(np.int8) if min(_BOUNDS[kind]) < 0 else np.dtype(np.uint8)


def _to_words(define: Definition, kind: _Type) -> str:
    limits = np.iinfo(kind.type)  # type: ignore[type-var] # of integers
    scaled = define("Round", define("Div", define.inputs[0], _along(define, define.inputs[1], 1)))
    moved = define("Add", scaled, _along(define, define.cast(define.inputs[2], np.float32), 2))
    return define.cast(define("Clip", moved, define.like(limits.min), define.like(limits.max)), kind)


def _from_words(define: Definition) -> str:
    levels = define.cast(define.inputs[0], np.int32)
    if define.has(2):
        levels = define("Sub", levels, _along(define, define.cast(define.inputs[2], np.int32), 2))
    return define("Mul", define.cast(levels, np.float32), _along(define, define.inputs[1], 1))


def _along(define: Definition, value: str, index: int) -> str:
    """A scale or zero point, one or one an index of `axis`, to broadcast to the input."""
    extents, axis = define.shape(index), define.node.attributes.get_int("axis", 1)
    if math.prod(extents) == 1:
        return define.reshape(value, ())
    if not -rank(define) <= axis < rank(define):
        raise unsupported(f"axis is {axis}, of {rank(define)} axes")
    if extents != define.shape(1):
        raise unsupported(f"input {index} has shape {list(extents)}, expected {list(define.shape(1))}")
    return define.reshape(value, [-1, *[1] * (rank(define) - 1 - axis % rank(define))])


LEVELS: dict[str, Contrib] = {
    "QuantizeLinear": any_shape(_quantize, "axis", 3),
    "DequantizeLinear": any_shape(_dequantize, "axis", 3),
}
