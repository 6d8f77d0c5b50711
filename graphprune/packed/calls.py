"""Packed calls: reading their tensors, and refusing damaged ones before anything follows an index."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphprune.analysis.constants import constant_tensor
from graphprune.errors import UnsupportedModelError
from graphprune.graph.functions import DOMAIN, VERSION
from graphprune.graph.nodes import describe
from graphprune.packed.forms import CALLS
from graphprune.packed.weight import Array, PackedWeight, Shape

ROWS_AXIS_KEY = "graphprune.rows_axis"
"""Key in a call's `metadata_props`: which axis of the dense matrix counted the output features before it was packed."""

_MATRIX_RANK = 2


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
    def weight_name(self) -> str:
        """The name that the dense weight had, judging by that of its values."""
        values = self.node.inputs[1]
        return str(values.name if values is not None else None).removesuffix(f"_{self.packed.tensors[0]}")


def is_packed_call(node: ir.Node) -> bool:
    """Return whether `node` calls one of the packed functions."""
    return node.domain == DOMAIN and node.op_type in CALLS


def extra_index(node: ir.Node) -> int:
    """Return which input of a packed call comes after its weight: the bias, where its operator takes one."""
    return 1 + len(CALLS[node.op_type][0].tensors)


def read_call(node: ir.Node) -> PackedCall:
    """Read a packed call.

    Raises:
        UnsupportedModelError: A tensor is not constant (GP350), or the tensors are damaged or do not fit the shape that
            the call states (GP351).
    """
    form, operator = CALLS[node.op_type]
    shape = _weight_shape(node)
    fits = len(shape) > _MATRIX_RANK if operator == "Conv" else len(shape) == _MATRIX_RANK
    if not fits or min(shape) < 1:
        raise _damaged(node, f"weight_shape is {list(shape)}, no shape of a {operator}")
    arrays = [_tensor(node, 1 + index, name) for index, name in enumerate(form.tensors)]
    packed = form.read(arrays, [_number(node, name) for name in form.numbers], shape)
    defect = packed.find_defect()
    if defect is not None:
        raise _damaged(node, defect)
    return PackedCall(node, packed)


def verify_packed_calls(model: ir.Model) -> None:
    """Check every packed call of the main graph.

    Raises:
        UnsupportedModelError: The calls are of another version (GP352), or one is damaged (GP350, GP351).
    """
    calls = [node for node in model.graph.all_nodes() if is_packed_call(node)]
    version = model.graph.opset_imports.get(DOMAIN, VERSION)
    if calls and version != VERSION:
        message = f"packed-version: packed calls are of version {version}, this graphprune reads {VERSION}"
        raise UnsupportedModelError(message, code="GP352")
    for node in calls:
        read_call(node)


def _damaged(node: ir.Node, defect: str) -> UnsupportedModelError:
    name = CALLS[node.op_type][0].name
    return UnsupportedModelError(f"packed-{name}: {describe(node)}: {defect}", code="GP351")


def _weight_shape(node: ir.Node) -> Shape:
    attribute = node.attributes.get("weight_shape")
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
