"""Packed calls: reading their tensors, and refusing damaged ones before anything follows an index."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import onnx_ir as ir

from graphprune.analysis.constants import constant_tensor
from graphprune.errors import UnsupportedModelError
from graphprune.layouts import csr
from graphprune.local_functions import VERSION
from graphprune.packed.functions import OPERATORS
from graphprune.stages import DOMAIN, describe

ROWS_AXIS_KEY = "graphprune.rows_axis"
"""Key in a call's `metadata_props`: which axis of the dense matrix counted the output features before it was packed."""

TENSORS = ("values", "columns", "row_offsets")
"""The tensors of a weight, inputs 1 to 3 of a call; an initializer is called `<weight>_<tensor>`."""

_MATRIX_RANK = 2


@dataclass(frozen=True)
class PackedCall:
    """A node whose weight is packed.

    Attributes:
        node: The call.
        rows: Its weight, one row an output feature; undamaged.
        weight_shape: The dense shape: [M, C, *kernel] of a convolution, [output features, inputs] of a product.
    """

    node: ir.Node
    rows: csr.Rows
    weight_shape: tuple[int, ...]

    @property
    def weight(self) -> npt.NDArray[Any]:
        """The dense weight, of `weight_shape`."""
        return csr.unpack(self.rows).reshape(self.weight_shape)


def is_packed_call(node: ir.Node) -> bool:
    """Return whether `node` calls one of the packed functions."""
    return node.domain == DOMAIN and node.op_type in OPERATORS


def read_call(node: ir.Node) -> PackedCall:
    """Read a packed call.

    Raises:
        UnsupportedModelError: A tensor is not constant (GP350), or the tensors are damaged or do not fit the shape that
            the call states (GP351).
    """
    shape = _weight_shape(node)
    values, columns, row_offsets = (_tensor(node, index) for index in (1, 2, 3))
    rows = csr.Rows(values, columns, row_offsets, (shape[0], math.prod(shape[1:])))
    defect = csr.find_defect(rows)
    if defect is not None:
        raise UnsupportedModelError(f"packed-rows: {describe(node)}: {defect}", code="GP351")
    return PackedCall(node, rows, shape)


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


def _weight_shape(node: ir.Node) -> tuple[int, ...]:
    attribute = node.attributes.get("weight_shape")
    shape = tuple(attribute.as_ints()) if attribute is not None else ()
    fits = len(shape) > _MATRIX_RANK if OPERATORS[node.op_type] == "Conv" else len(shape) == _MATRIX_RANK
    if not fits or min(shape) < 1:
        message = (
            f"packed-rows: {describe(node)}: weight_shape is {list(shape)}, no shape of a {OPERATORS[node.op_type]}"
        )
        raise UnsupportedModelError(message, code="GP351")
    return shape


def _tensor(node: ir.Node, index: int) -> npt.NDArray[Any]:
    value = node.inputs[index] if index < len(node.inputs) else None
    tensor = constant_tensor(value)
    if tensor is None:
        message = f"packed-constants: {describe(node)}: its {TENSORS[index - 1]} are not a constant"
        raise UnsupportedModelError(message, code="GP350")
    return tensor.numpy()
