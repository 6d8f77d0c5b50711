"""Packed calls: reading their tensors, and refusing damaged ones before anything follows an index."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphprune.analysis.constants import constant_tensor
from graphprune.errors import UnsupportedModelError
from graphprune.graph.functions import DOMAIN, VERSION
from graphprune.graph.nodes import describe
from graphprune.packed.forms import CALLS, FUNCTIONS, WEIGHT
from graphprune.packed.weight import Array, PackedWeight, Shape

ROWS_AXIS_KEY = "graphprune.rows_axis"
"""Key in a call's `metadata_props`: which axis of the dense matrix counted the output features before it was packed."""

DECODED = ("stored_shape", "perm")
"""Attributes of a call that only decodes: its weight is reshaped to the one, then transposed by the other."""

_BETWEEN = frozenset(("DequantizeLinear", "Identity", "Transpose"))
_MATRIX_RANK = 2
_LEAST_RANK = {"Conv": _MATRIX_RANK + 1}
_MOST_RANK = {"MatMul": _MATRIX_RANK, "Gemm": _MATRIX_RANK}


@dataclass(frozen=True)
class PackedCall:
    """A node whose weight is packed.

    Attributes:
        node: The call.
        packed: Its weight; undamaged.
    """

    node: ir.Node
    packed: PackedWeight

    @property
    def weight_shape(self) -> Shape:
        """The dense shape: [M, C, *kernel] of a convolution, [output features, inputs] of a product."""
        return self.packed.shape

    @property
    def weight(self) -> Array:
        """The dense weight, of `weight_shape`."""
        return self.packed.dense()

    @property
    def decoded(self) -> Array:
        """What a call that only decodes returns: the dense weight as the model had it."""
        shape, perm = (self.node.attributes[name].as_ints() for name in DECODED)
        return np.ascontiguousarray(self.weight.reshape(shape).transpose(perm))

    @property
    def reader(self) -> ir.Node:
        """What multiplies by the weight: the call, or what first reads it where it is only decoded."""
        node = self.node
        while (is_decoding(node) or node.op_type in _BETWEEN) and (uses := node.outputs[0].uses()):
            node = next(iter(uses)).node
        return node

    @property
    def operator(self) -> str:
        """The operator that multiplies by the weight."""
        return self.reader.op_type if is_decoding(self.node) else CALLS[self.node.op_type][1]

    @property
    def values(self) -> ir.Value | None:
        """The first of the tensors of its weight; calls that share a weight share it."""
        return self.node.inputs[_first_index(self.node)]

    @property
    def weight_name(self) -> str:
        """The name that the dense weight had, judging by that of its values."""
        return str(self.values.name if self.values is not None else None).removesuffix(f"_{self.packed.tensors[0]}")


def is_packed_call(node: ir.Node) -> bool:
    """Return whether `node` calls a packed function that multiplies by its weight."""
    return node.domain == DOMAIN and node.op_type in CALLS


def is_decoding(node: ir.Node) -> bool:
    """Return whether `node` calls a packed function that only decodes its weight."""
    return node.domain == DOMAIN and node.op_type in FUNCTIONS.keys() - CALLS.keys()


def extra_index(node: ir.Node) -> int:
    """Return which input of a packed call comes after its weight: the bias, where its operator takes one."""
    return _first_index(node) + len(FUNCTIONS[node.op_type][0].tensors)


def _first_index(node: ir.Node) -> int:
    """Which input is the first tensor of the weight: what it is multiplied by comes before."""
    return int(FUNCTIONS[node.op_type][1] != WEIGHT)


def read_call(node: ir.Node) -> PackedCall:
    """Read a packed call.

    Raises:
        UnsupportedModelError: A tensor is not constant (GP350), or the tensors are damaged or do not fit the shape that
            the call states (GP351).
    """
    form, operator = FUNCTIONS[node.op_type]
    shape = _integers(node, "weight_shape")
    fits = _LEAST_RANK.get(operator, _MATRIX_RANK) <= len(shape) <= _MOST_RANK.get(operator, len(shape))
    if not fits or min(shape) < 1:
        raise _damaged(node, f"weight_shape is {list(shape)}, no shape of a {operator}")
    arrays = [_tensor(node, _first_index(node) + index, name) for index, name in enumerate(form.tensors)]
    packed = form.read(arrays, [_number(node, name) for name in form.numbers], shape)
    defect = packed.find_defect() or (_decoded_defect(node, shape) if operator == WEIGHT else _type_defect(arrays[0]))
    if defect is not None:
        raise _damaged(node, defect)
    return PackedCall(node, packed)


def verify_packed_calls(model: ir.Model) -> None:
    """Check every packed call of the main graph.

    Raises:
        UnsupportedModelError: The calls are of another version (GP352), or one is damaged (GP350, GP351).
    """
    calls = [node for node in model.graph.all_nodes() if is_packed_call(node) or is_decoding(node)]
    version = model.graph.opset_imports.get(DOMAIN, VERSION)
    if calls and version != VERSION:
        message = f"packed-version: packed calls are of version {version}, this graphprune reads {VERSION}"
        raise UnsupportedModelError(message, code="GP352")
    for node in calls:
        read_call(node)


def _damaged(node: ir.Node, defect: str) -> UnsupportedModelError:
    name = FUNCTIONS[node.op_type][0].name
    return UnsupportedModelError(f"packed-{name}: {describe(node)}: {defect}", code="GP351")


def _decoded_defect(node: ir.Node, shape: Shape) -> str | None:
    """What is wrong with the attributes of a call that only decodes a weight of that shape, or None."""
    stored, perm = (_integers(node, name) for name in DECODED)
    if min(stored, default=0) < 1 or math.prod(stored) != math.prod(shape):
        return f"stored_shape is {list(stored)}, expected {math.prod(shape)} elements"
    return None if sorted(perm) == list(range(len(stored))) else f"perm is {list(perm)}, no order of {len(stored)} axes"


def _type_defect(values: Array) -> str | None:
    """What is wrong with the values of a weight that a call multiplies by: quantized ones are only decoded."""
    return f"values has dtype {values.dtype}, expected a floating one" if values.dtype.kind in "iu" else None


def _integers(node: ir.Node, name: str) -> Shape:
    attribute = node.attributes.get(name)
    return tuple(attribute.as_ints()) if attribute is not None and attribute.type is ir.AttributeType.INTS else ()


def _number(node: ir.Node, name: str) -> int:
    attribute = node.attributes.get(name)
    if attribute is None or attribute.type is not ir.AttributeType.INT:
        raise _damaged(node, f"{name} is no integer")
    return attribute.as_int()


def _tensor(node: ir.Node, index: int, name: str) -> Array:
    value = node.inputs[index] if index < len(node.inputs) else None
    tensor = constant_tensor(value)
    if tensor is None:
        message = f"packed-constants: {describe(node)}: its {name} are not a constant"
        raise UnsupportedModelError(message, code="GP350")
    return tensor.numpy()
