"""Which nodes the backend can lower, and why not the others."""

from __future__ import annotations

from collections.abc import Callable, Collection

import onnx_ir as ir

from graphprune.backends.tvm.lowering import is_constant
from graphprune.passes.structure import subgraphs
from graphprune.stages import DOMAIN

DTYPES = frozenset(
    {
        *(ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.BOOL),
        *(ir.DataType.INT8, ir.DataType.INT16, ir.DataType.INT32, ir.DataType.INT64),
        *(ir.DataType.UINT8, ir.DataType.UINT16, ir.DataType.UINT32, ir.DataType.UINT64),
    }
)
"""Element types that kernels exist for."""

CONSTANT_INPUTS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("Reshape", "Expand", "Squeeze", "Unsqueeze", "Split", "Tile", "TopK", "Trilu"), (1,)),
    **dict.fromkeys(("CumSum", "CumProd", "OneHot", "Compress", "CenterCropPad"), (1,)),
    **dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean"), (1,)),
    **dict.fromkeys(("ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"), (1,)),
    **dict.fromkeys(("PackedConv", "PackedMatMul", "PackedGemm"), (1, 2, 3)),
    "Slice": (1, 2, 3, 4),
    "Pad": (1, 3),
    "Resize": (1, 2, 3),
    "Upsample": (1,),
    "MaxUnpool": (2,),
    "Col2Im": (1, 2),
    "Dropout": (2,),
}
"""Inputs that decide the shape of the output or which element goes where, by operator."""

Reason = Callable[[ir.Node], str | None]

_REASONS: dict[str, Reason] = {}


def refusal(node: ir.Node, operators: Collection[str]) -> str | None:
    """Why the backend cannot lower this node, or None if it can."""
    if any(subgraphs(node)):
        return "it has a subgraph"
    if node.domain not in ("", DOMAIN) or node.op_type not in operators:
        return "there is no kernel for this operator"
    for value in (*node.inputs, *node.outputs):
        if value is not None and value.type is not None and (reason := _type_refusal(value)):
            return reason
    for index in CONSTANT_INPUTS.get(node.op_type, ()):
        value = node.inputs[index] if index < len(node.inputs) else None
        if value is not None and not is_constant(value):
            return f"input '{value.name}' must be constant"
    reason_of = _REASONS.get(node.op_type)
    return None if reason_of is None else reason_of(node)


def _type_refusal(value: ir.Value) -> str | None:
    if not isinstance(value.type, ir.TensorType):
        return f"'{value.name}' is {value.type}, not a tensor"
    return None if value.dtype in DTYPES else f"'{value.name}' has element type {value.dtype}"
