"""Statistics over channels that go: the zeros that these were are still counted."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import onnx_ir as ir

from graphprune.analysis.channels.values import read, taken
from graphprune.passes.operands.cut_node import CutNode, Follow, old_extent, rank_of


def _mean(cut: CutNode) -> None:
    """An average of what is left is one of fewer numbers."""
    x = cut.input(0)
    axes = cut.integers("axes", 1)
    if axes is None or not axes.size:
        over = [] if cut.node.attributes.get_int("noop_with_empty_axes", 0) == 1 else list(range(rank_of(x)))
    else:
        over = (axes % rank_of(x)).tolist()
    share = _share_left(cut, over)
    if share < 1:
        cut.put_behind("Mul", [cut.constant("share", np.array(share, _dtype(x)))], "of_all")


def _root_mean_square(cut: CutNode) -> None:
    """With `s` the share of numbers left: sqrt(mean / s + epsilon / s) is sqrt(1 / s) times what it was."""
    x, node = cut.input(0), cut.node
    share = _share_left(cut, _last_axes(cut))
    if share == 1:
        return
    scale = _cut_parameter(cut, 1) / math.sqrt(share)
    cut.set_operand(1, cut.constant("scale", scale.astype(_dtype(x))))
    node.attributes["epsilon"] = ir.AttrFloat32("epsilon", node.attributes.get_float("epsilon", 1e-5) / share)


def _layer_normalization(cut: CutNode) -> None:
    """Zeros are put back behind what is left, and their places are dropped again."""
    x, output = cut.input(0), cut.node.outputs[0]
    missing = {axis: old_extent(x, axis) - cut.extent(x, axis) for axis in _last_axes(cut) if axis in cut.cuts(x)}
    if not missing:
        return
    lead = [0] * rank_of(x)
    pads = cut.constant("pads", np.array([*lead, *(missing.get(axis, 0) for axis in range(rank_of(x)))]))
    for index, name in ((1, "scale"), (2, "shift")):
        if index >= len(cut.node.inputs) or cut.node.inputs[index] is None:
            continue
        parameter = _cut_parameter(cut, index)
        first = rank_of(x) - parameter.ndim
        padded = np.pad(parameter, [(0, missing.get(first + axis, 0)) for axis in range(parameter.ndim)])
        cut.set_operand(index, cut.constant(name, padded))
    cut.set_operand(0, cut.insert("Pad", [x, pads], "padded"))
    starts, ends = np.zeros(len(missing), np.int64), [cut.extent(x, axis) for axis in missing]
    ranges = (("starts", starts), ("ends", np.array(ends)), ("axes", np.array(list(missing))))
    cut.put_behind("Slice", [cut.constant(name, array) for name, array in ranges], "left")
    cut.kept[output] = {axis: kept for axis, kept in cut.cuts(output).items() if axis not in missing}


def _last_axes(cut: CutNode) -> range:
    rank = rank_of(cut.input(0))
    return range(cut.node.attributes.get_int("axis", -1) % rank, rank)


def _share_left(cut: CutNode, axes: Iterable[int]) -> float:
    x = cut.input(0)
    return math.prod(cut.extent(x, axis) / old_extent(x, axis) for axis in axes if axis in cut.cuts(x))


def _cut_parameter(cut: CutNode, index: int) -> np.ndarray:
    """Return what is left of a scale or a shift."""
    value = cut.input(index)
    return taken(read(value), cut.cuts(value))


def _dtype(value: ir.Value) -> np.dtype:
    assert value.dtype is not None, "types were inferred"
    return np.dtype(value.dtype.numpy())


FOLLOW: dict[str, Follow] = {
    "LayerNormalization": _layer_normalization,
    "RMSNormalization": _root_mean_square,
    "ReduceMean": _mean,
}
