"""The bias of a product: what it adds to each of its output channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.passes.fresh_names import FreshNames
from graphprune.passes.operands.cut_node import CutNode
from graphprune.passes.rewriting import constant_of, give_constant

Array = npt.NDArray[Any]

_BIAS = 2
"""The operand."""


def output_channels(product: ir.Node) -> int:
    """Return the number of output channels of a product by a constant weight; 1 for a MatMul by a vector."""
    weight = product.inputs[1]
    assert weight is not None  # products have one
    assert weight.const_value is not None  # as said
    shape, attributes = weight.const_value.shape.numpy(), product.attributes
    if product.op_type == "ConvTranspose":
        return shape[1] * attributes.get_int("group", 1)
    if product.op_type == "Conv" or (product.op_type == "Gemm" and attributes.get_int("transB", 0) == 1):
        return shape[0]
    return shape[-1] if len(shape) > 1 else 1


def output_scale(product: ir.Node) -> float:
    """Return what a product of its operands is multiplied by, before the bias is added."""
    return product.attributes.get_float("alpha", 1.0)


def read_bias(product: ir.Node, channels: int) -> Array | None:
    """Return what Conv, ConvTranspose or Gemm adds to each output channel, float64 [channels].

    None where that is computed, or varies along other axes.
    """
    value = product.inputs[_BIAS] if len(product.inputs) > _BIAS else None
    if value is None:
        return np.zeros(channels)
    return _times(constant_of(value), channels, product.attributes.get_float("beta", 1.0))


def write_bias(product: ir.Node, bias: ir.TensorProtocol, names: FreshNames) -> None:
    """Let Conv, ConvTranspose or Gemm add this to each output channel, and no multiple of it."""
    weight = product.inputs[1]
    assert weight is not None  # products have one
    give_constant(product, _BIAS, bias, f"{weight.name}_bias", names)
    product.attributes.pop("beta", None)


def shift_bias(product: ir.Node, amounts: Array, names: FreshNames) -> bool:
    """Add to what is added to each output channel of a float32 product, by an Add where it has no operand for that.

    Returns:
        Whether there is a constant, or none yet, that can hold it.
    """
    if product.op_type == "MatMul":
        return _shift_add(product, amounts, names)
    bias = read_bias(product, amounts.size)
    if bias is not None:
        write_bias(product, ir.tensor((bias + amounts).astype(np.float32)), names)
    return bias is not None


def add_bias(product: ir.Node, amounts: Array, names: FreshNames) -> bool:
    """Do the same, and put an Add behind a MatMul, by a matrix from the right, that has none of a constant.

    Returns:
        Whether there is a constant now that holds it.
    """
    if shift_bias(product, amounts, names):
        return True
    if product.op_type != "MatMul":
        return False
    cut = CutNode(product, {}, names)
    cut.put_behind("Add", [cut.constant("bias", amounts.astype(np.float32))], "sum")
    return True


def _shift_add(product: ir.Node, amounts: Array, names: FreshNames) -> bool:
    """The constant of the Add that alone reads a product."""
    output = product.outputs[0]
    users = list(output.uses())
    if len(users) != 1 or output.is_graph_output() or users[0].node.op_type != "Add":
        return False
    add, index = users[0].node, 1 - users[0].idx
    value = add.inputs[index]
    bias = _times(constant_of(value), amounts.size)
    if value is None or bias is None:
        return False
    give_constant(add, index, ir.tensor((bias + amounts).astype(np.float32)), f"{value.name}_shifted", names)
    return True


def _times(tensor: ir.TensorProtocol | None, channels: int, factor: float = 1.0) -> Array | None:
    """One number, or one a channel, times a factor."""
    if tensor is None or (tensor.size > 1 and (tensor.size, tensor.shape[-1]) != (channels, channels)):
        return None
    array: Array = np.broadcast_to(tensor.numpy().astype(np.float64).reshape(-1), channels) * factor
    return array
