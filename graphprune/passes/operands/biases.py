"""Constant folding into biases: what a node reads of constant channels goes into its bias, so that they can go."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.analysis.channels.state import FloatArray
from graphprune.analysis.constants import constant_tensor
from graphprune.passes.operands.cut_node import CutNode, rank_of

_Array = npt.NDArray[Any]
_MATRIX = 2


def can_fold(node: ir.Node) -> bool:
    """Whether constants that the node reads can be folded into its bias: not where the node pads with zeros."""
    if node.domain or node.op_type not in _TAKE_UP or weight_of(node) is None:
        return False
    if node.op_type == "Conv":
        pads = node.attributes.get_string("auto_pad", "NOTSET").startswith("SAME") or any(
            node.attributes.get_ints("pads", [0])
        )
        if pads or node.attributes.get_int("group", 1) != 1:
            return False
    if node.op_type == "Gemm" and node.attributes.get_float("beta", 1.0) == 0:
        return False
    bias = _bias(node)
    return bias is None or (constant_tensor(bias) is not None and bias.shape is not None and bias.shape.rank() == 1)


def weight_of(node: ir.Node) -> _Array | None:
    """Return the second operand where it is constant, also behind a Transpose; a matrix of MatMul and Gemm."""
    value = node.inputs[1]
    tensor = constant_tensor(value)
    if tensor is not None:
        array = tensor.numpy()
    else:
        producer = None if value is None else value.producer()
        if producer is None or (producer.domain, producer.op_type) != ("", "Transpose"):
            return None
        inner = constant_tensor(producer.inputs[0])
        if inner is None:
            return None
        array = inner.numpy().transpose(producer.attributes.get_ints("perm", range(len(inner.shape))[::-1]))
    return array if node.op_type == "Conv" or array.ndim == _MATRIX else None


def _bias(node: ir.Node) -> ir.Value | None:
    """The third operand, which may be absent."""
    return next(iter(node.inputs[2:]), None)


def fold_into_bias(cut: CutNode, at: FloatArray) -> None:
    """Fold `at` into the bias of the node: add what its weight makes of it.

    Args:
        cut: The node, before anything of it is cut.
        at: What it reads of channels that go, float64 [inputs]; zero for all others.
    """
    weight = weight_of(cut.node)
    assert weight is not None, "asked before"
    _TAKE_UP[cut.node.op_type](cut, weight.astype(np.float64), at, weight.dtype)


def _convolution(cut: CutNode, weight: FloatArray, at: FloatArray, dtype: npt.DTypeLike) -> None:
    _set_bias(cut, weight.reshape(*weight.shape[:2], -1).sum(axis=2) @ at, dtype)


def _gemm(cut: CutNode, weight: FloatArray, at: FloatArray, dtype: npt.DTypeLike) -> None:
    rows = weight.T if cut.node.attributes.get_int("transB", 0) else weight
    made = cut.node.attributes.get_float("alpha", 1.0) * (at @ rows)
    beta = cut.node.attributes.get_float("beta", 1.0)
    _set_bias(cut, made / beta, dtype)


def _set_bias(cut: CutNode, made: FloatArray, dtype: npt.DTypeLike) -> None:
    """Replace the third operand by what it is with `made` added, cut as the outputs are."""
    tensor = constant_tensor(_bias(cut.node))
    total = made if tensor is None else tensor.numpy().astype(np.float64) + made
    cut.set_operand(2, cut.constant("bias", _kept(cut, total, 1).astype(dtype)))


def _product(cut: CutNode, weight: FloatArray, at: FloatArray, dtype: npt.DTypeLike) -> None:
    """A MatMul has no bias: it is added behind."""
    last = rank_of(cut.node.outputs[0]) - 1
    bias = cut.constant("bias", _kept(cut, at @ weight, last).astype(dtype))
    cut.put_behind("Add", [bias], "sum")


def _kept(cut: CutNode, array: FloatArray, axis: int) -> FloatArray:
    cuts = cut.cuts(cut.node.outputs[0])
    return array[cuts[axis]] if axis in cuts else array


_TAKE_UP = {"Conv": _convolution, "Gemm": _gemm, "MatMul": _product}
