"""Operators that move elements, where constants or shapes decide which, as Gather, Reshape and Transpose."""

from __future__ import annotations

import numpy as np
import onnx

from graphprune.passes.definition import Define, Definition


def _compress(define: Definition) -> onnx.FunctionProto | None:
    condition = define.known(1)
    if condition is None:
        return None
    axis = define.node.attributes.get("axis")
    kept = define.constant(np.flatnonzero(condition))
    if axis is None:
        return define.finish(define("Gather", define.reshape(define.inputs[0], [-1]), kept, axis=0))
    return define.finish(define("Gather", define.inputs[0], kept, axis=axis.as_int()))


def _depth_to_space(define: Definition) -> onnx.FunctionProto:
    block = define.node.attributes.get_int("blocksize", 1)
    images, channels, height, width = define.shape()
    rest = channels // block**2
    if define.node.attributes.get_string("mode", "DCR") == "DCR":
        split, order = (images, block, block, rest, height, width), [0, 3, 4, 1, 5, 2]
    else:
        split, order = (images, rest, block, block, height, width), [0, 1, 4, 2, 5, 3]
    moved = define("Transpose", define.reshape(define.inputs[0], split), perm=order)
    return define.finish(define.reshape(moved, (images, rest, height * block, width * block)))


def _space_to_depth(define: Definition) -> onnx.FunctionProto | None:
    if define.node.attributes.get_string("mode", "DCR") != "DCR":
        return None
    block = define.node.attributes.get_int("blocksize", 1)
    images, channels, height, width = define.shape()
    split = (images, channels, height // block, block, width // block, block)
    moved = define("Transpose", define.reshape(define.inputs[0], split), perm=[0, 3, 5, 1, 2, 4])
    return define.finish(define.reshape(moved, (images, channels * block**2, height // block, width // block)))


def _batched_gather(define: Definition) -> onnx.FunctionProto | None:
    """GatherND with batch axes: the batch's own position goes in front of each index."""
    batch, shape = define.node.attributes.get_int("batch_dims", 0), define.shape(1)
    if batch == 0:
        return None
    counts = [
        np.broadcast_to(np.arange(shape[a]).reshape(-1, *[1] * (len(shape) - 2 - a)), shape[:-1]) for a in range(batch)
    ]
    positions = define.constant(np.stack(counts, axis=-1))
    return define.finish(define("GatherND", define.inputs[0], define("Concat", positions, define.inputs[1], axis=-1)))


def _scatter_to_elements(define: Definition) -> onnx.FunctionProto:
    axis = define.node.attributes.get_int("axis", 0)
    return define.finish(define("ScatterElements", *define.inputs, axis=axis))


MOVING: dict[str, Define] = {
    "Compress": _compress,
    "GatherND": _batched_gather,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Scatter": _scatter_to_elements,
}
