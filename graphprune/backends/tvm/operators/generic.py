"""The operators that are lowered as tensor expressions, always or where no faster kernel applies."""

from __future__ import annotations

import math
from collections.abc import Callable

import onnx_ir as ir

from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import Lower, Lowering, is_constant
from graphprune.backends.tvm.operators import te_images, te_library, te_moving, te_products, te_windows
from graphprune.backends.tvm.operators.te import lower_with

GENERIC: dict[str, Lower] = {
    **{name: lower_with(compute) for name, compute in te_library.FUNCTIONS.items()},
    "Col2Im": lower_with(te_windows.columns_to_image),
    "Det": lower_with(te_products.determinant),
    "Trilu": lower_with(te_moving.triangle),
    "OneHot": lower_with(te_moving.one_hot),
    "ReverseSequence": lower_with(te_moving.reverse_sequence),
    "RoiAlign": lower_with(te_images.roi_align, te_images.checked_images),
}
"""Operators that have only a tensor expression."""

_MOST_TAPS = 2**16  # the window kernels are written out, tap by tap

_BYTES = frozenset({ir.DataType.INT8, ir.DataType.UINT8})

Applies = Callable[[ir.Node], bool]


def either(fast: Lower, applies: Applies, general: Lower) -> Lower:
    """`fast` for the nodes that it takes, `general` for the others."""

    def lower(lowering: Lowering, group: Group) -> None:
        (fast if applies(group.anchor) else general)(lowering, group)

    return lower


def is_fast_convolution(node: ir.Node) -> bool:
    """Whether the plane kernels take this Conv."""
    return is_plane_convolution(node) and is_constant(node.inputs[1])


def is_plane_convolution(node: ir.Node) -> bool:
    """Whether they take it with its weight packed in each run, if that is computed."""
    return _is_float32(node) and _rank(node.inputs[0]) in (3, 4)


def is_fast_pooling(node: ir.Node) -> bool:
    """Whether the window kernels take this MaxPool or AveragePool."""
    is_small = math.prod(node.attributes.get_ints("kernel_shape", [])) <= _MOST_TAPS
    x = node.inputs[0]
    is_known = _is_float32(node) or (node.op_type == "MaxPool" and x is not None and x.dtype in _BYTES)
    plain = is_known and not any(o.name for o in node.outputs[1:])
    return plain and is_small and _rank(node.inputs[0]) in (3, 4, 5)


def _is_float32(node: ir.Node) -> bool:
    return all(value is None or value.dtype == ir.DataType.FLOAT for value in node.inputs)


def _rank(value: ir.Value | None) -> int:
    return value.shape.rank() if value is not None and value.shape is not None else 0
