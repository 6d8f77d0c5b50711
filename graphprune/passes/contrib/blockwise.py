"""Weights of a few bits with a scale for each block, as quantizers of weights alone write them: decoded to floats."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from graphprune.passes.contrib.contrib import Contrib, any_shape, names, unsupported
from graphprune.passes.definition import Definition

_Array = npt.NDArray[Any]

_BITS = (2, 4, 8)
"""That fill a byte."""


def _product(define: Definition) -> onnx.FunctionProto:
    """A times the transpose of B [N, K], plus a bias; `accuracy_level`, which allows sums of integers, is not taken."""
    given = define.node.attributes
    outputs, inputs = given.get_int("N", 0), given.get_int("K", 0)
    if given.get_int("weight_prepacked", 0):
        raise unsupported("attribute 'weight_prepacked' is set")
    weight = define.like(_weight(define, outputs, inputs).T)
    y = define("MatMul", define.inputs[0], weight)
    return define.finish(define("Add", y, define.inputs[5]) if define.has(5) else y)


def _weight(define: Definition, outputs: int, inputs: int) -> _Array:
    """B of MatMulNBits as floats [N, K]: bytes of [N, blocks, bytes of a block], or the same flat."""
    bits, size = _bits(define), define.node.attributes.get_int("block_size", 0)
    if size < 1:
        raise unsupported(f"block_size is {size}, expected at least 1")
    blocks = -(-inputs // size)
    levels = _unpacked(_constant(define, 1), bits)
    scales = _constant(define, 2).astype(np.float32)
    if levels.size != outputs * blocks * size or scales.size != outputs * blocks:
        raise unsupported(f"{levels.size} levels and {scales.size} scales do not make {outputs} x {inputs}")
    points = _zero_points(define, outputs, blocks, bits)
    real = (levels.reshape(outputs, blocks, size) - points) * scales.reshape(outputs, blocks, 1)
    return np.asarray(real.reshape(outputs, blocks * size)[:, :inputs])


def _zero_points(define: Definition, outputs: int, blocks: int, bits: int) -> _Array:
    """[N, blocks, 1]: packed along blocks, or floats; without, the middle of the range."""
    if not define.has(3):
        return np.full((1, 1, 1), 2.0 ** (bits - 1), np.float32)
    given = _constant(define, 3)
    if given.size % outputs:
        raise unsupported(f"{given.size} bytes of zero points are not the same for each of {outputs} outputs")
    points = given if given.dtype.kind == "f" else _unpacked(given.reshape(outputs, -1), bits)
    if points.size < outputs * blocks:
        raise unsupported(f"{points.size} zero points do not make {outputs} x {blocks} blocks")
    return np.asarray(points.reshape(outputs, -1)[:, :blocks, None].astype(np.float32))


def _gathered(define: Definition) -> onnx.FunctionProto:
    """Rows of a table of integers, whose blocks along `quantize_axis` have a scale each."""
    given, table, scales = define.node.attributes, _constant(define, 0), _constant(define, 2)
    bits, size = _bits(define), given.get_int("block_size", 128)
    is_packed = table.dtype == np.uint8
    levels = _unpacked(table, bits) if is_packed else table.astype(np.float32)
    axis = given.get_int("quantize_axis", 1) % levels.ndim
    point: _Array = np.array(2.0 ** (bits - 1) if is_packed else 0.0, np.float32)
    if define.has(3):
        points = _constant(define, 3)
        point = _repeated(_unpacked(points, bits) if is_packed else points.astype(np.float32), size, axis, levels)
    real = (levels - point) * _repeated(scales.astype(np.float32), size, axis, levels)
    rows = define.constant(real, scales.dtype)
    return define.finish(define("Gather", rows, define.inputs[1], axis=given.get_int("gather_axis", 0)))


def _repeated(values: _Array, size: int, axis: int, levels: _Array) -> _Array:
    """One value a level, of one a block; packing may have rounded the number of them up."""
    spread = np.repeat(values, size, axis)
    return spread[tuple(slice(0, extent) for extent in levels.shape)]


def _bits(define: Definition) -> int:
    bits = define.node.attributes.get_int("bits", 4)
    if bits not in _BITS:
        raise unsupported(f"bits is {bits}, expected one of {', '.join(map(str, _BITS))}")
    return bits


def _constant(define: Definition, index: int) -> _Array:
    known = define.known(index)
    if known is None:
        raise unsupported(f"input {index} is not constant")
    return known


def _unpacked(data: _Array, bits: int) -> _Array:
    """The levels in bytes, the lowest bits first, along the last axis; float32."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    levels = (data[..., None] >> shifts) & np.uint8(2**bits - 1)
    return levels.reshape(*data.shape[:-1], data.shape[-1] * len(shifts)).astype(np.float32)


BLOCKWISE: dict[str, Contrib] = {
    "MatMulNBits": Contrib(
        _product, names("K N accuracy_level bits block_size weight_prepacked"), (0, 1, 2, 3, 5), is_static=False
    ),
    "GatherBlockQuantized": any_shape(_gathered, "bits block_size gather_axis quantize_axis", 4),
}
