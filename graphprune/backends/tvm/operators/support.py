"""Which nodes the backend can lower, and why it refuses the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

import numpy as np
import onnx_ir as ir

from graphprune.analysis.products import RECURRENT
from graphprune.analysis.resampling import COORDINATES
from graphprune.backends.tvm.lowering.graph import constant_array, is_constant
from graphprune.backends.tvm.operators.recurrent_functions import why_no_functions
from graphprune.backends.tvm.operators.scalar import SCALAR
from graphprune.graph.functions import DOMAIN
from graphprune.packed.forms import CALLS
from graphprune.passes.contrib.table import why_not_rewritten
from graphprune.passes.randomness import RANDOM
from graphprune.passes.structure import subgraphs

DTYPES = frozenset(
    {
        *(ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.BOOL),
        *(ir.DataType.INT8, ir.DataType.INT16, ir.DataType.INT32, ir.DataType.INT64),
        *(ir.DataType.UINT8, ir.DataType.UINT16, ir.DataType.UINT32, ir.DataType.UINT64),
    }
)
"""Element types that kernels exist for."""

MOST_ELEMENTS = 2**31 - 1
"""Of a value: kernels count in 32 bits."""

CONSTANT_INPUTS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("Reshape", "Expand", "Squeeze", "Unsqueeze", "Split", "Tile", "TopK", "Trilu"), (1,)),
    **dict.fromkeys(("CumSum", "CumProd", "OneHot", "Compress", "CenterCropPad"), (1,)),
    **dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean"), (1,)),
    **dict.fromkeys(("ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"), (1,)),
    **{name: tuple(range(1, 1 + len(form.tensors))) for name, (form, _) in CALLS.items()},
    "Slice": (1, 2, 3, 4),
    "Pad": (1, 3),
    "Resize": (1, 2, 3),
    "Upsample": (1,),
    "MaxUnpool": (2,),
    "Col2Im": (1, 2),
    "Dropout": (2,),
}
"""Inputs that decide the shape of the output or which element goes where, by operator."""

HALVES = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
HALF_OPERATORS = frozenset(
    {
        *(
            "CastLike",
            "Concat",
            "DepthToSpace",
            "Dropout",
            "Expand",
            "Flatten",
            "Gather",
            "GatherElements",
            "GatherND",
            "Identity",
        ),
        *("OneHot", "Pad", "Reshape", "ReverseSequence", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile"),
        *("Transpose", "Trilu", "Unsqueeze", *SCALAR),
    }
)
"""Operators that take half-precision floats as they are: they move elements, or compute them in float32."""

FLOAT32_ONLY = frozenset(
    {
        *("Gemm", "GlobalAveragePool", "GlobalMaxPool", "InstanceNormalization", "LayerNormalization", "LogSoftmax"),
        *("RMSNormalization", "Softmax", *CALLS),
    }
)
"""Operators whose only kernel is for float32."""

UNWRITTEN = {"DFT": "its length must be constant, at most that of 4,096 complex points"}
"""Why an operator that is written as others as a rule is not, by operator."""

Reason = Callable[[ir.Node], str | None]


def _gemm(node: ir.Node) -> str | None:
    if not is_constant(node.inputs[1]):
        return "B must be constant"
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    computed = bias is not None and not is_constant(bias)
    return "C must be constant unless beta is 1" if computed and node.attributes.get_float("beta", 1.0) != 1 else None


def _single_output(node: ir.Node) -> str | None:
    used = [output for output in node.outputs[1:] if output.uses() or output.is_graph_output()]
    return f"output '{used[0].name}' is not computed" if used else None


def _inference(node: ir.Node) -> str | None:
    return "training mode" if node.attributes.get_int("training_mode", 0) else _single_output(node)


def _dropout(node: ir.Node) -> str | None:
    training = node.inputs[2] if len(node.inputs) > 2 else None
    if training is not None and not (is_constant(training) and not constant_array(training).item()):
        return "training mode"
    return _single_output(node)


def _scales(node: ir.Node) -> str | None:
    """Scales must broadcast by NumPy's rules, as the definition of (de)quantization makes them."""
    x, scale = node.inputs[:2]
    blocked = node.attributes.get_int("block_size", 0)
    fits = _size(scale) == 1 or (_rank(scale) == _rank(x) and not blocked)
    return None if fits else "scales along an axis"


def _batch_axes(node: ir.Node) -> str | None:
    return "batch axes" if node.attributes.get_int("batch_dims", 0) else None


def _no_booleans(node: ir.Node) -> str | None:
    return "booleans" if node.inputs[0] is not None and node.inputs[0].dtype == ir.DataType.BOOL else None


def _floats(node: ir.Node) -> str | None:
    """The kernel starts from minus infinity; ONNX's definition converts integers."""
    dtype = node.inputs[0].dtype if node.inputs[0] is not None else None
    return None if dtype is None or dtype.is_floating_point() else "integers"


def _sampling_ratio(node: ir.Node) -> str | None:
    return None if node.attributes.get_int("sampling_ratio", 0) > 0 else "the sampling ratio depends on the region"


def _error_function(node: ir.Node) -> str | None:
    """In double precision it is a call of the C library, which cannot be mixed with vectors."""
    is_tanh = node.attributes.get_string("approximate", "none") == "tanh"
    value = node.inputs[0]
    is_double = value is not None and value.dtype == ir.DataType.DOUBLE
    return "the error function in double precision" if is_double and not is_tanh else None


def _few_axes(node: ir.Node) -> str | None:
    axes = len(node.attributes.get_ints("weight_shape", [])) - 2
    return None if axes in (1, 2) else f"a window over {axes} axes"


def _many_axes(node: ir.Node) -> str | None:
    axes = _rank(node.inputs[0]) - 2
    return None if axes <= PLANE_AXES else f"a window over {axes} axes"


def _known_coordinates(node: ir.Node) -> str | None:
    mode = node.attributes.get_string("coordinate_transformation_mode", "half_pixel")
    return None if mode in COORDINATES else f"coordinates '{mode}'"


def _small_matrix(node: ir.Node) -> str | None:
    value = node.inputs[0]
    rows = 0 if value is None or value.shape is None else value.shape[-1]
    return None if isinstance(rows, int) and rows <= LARGEST_DETERMINANT else f"matrices of {rows} rows"


def _recurrent(node: ir.Node) -> str | None:
    x, weight = node.inputs[:2]
    if x is not None and x.shape is not None and 0 in x.shape:
        return "it has no steps, sequences or inputs"
    products = _rows(x) * _rows(weight)
    if products > MOST_ELEMENTS:
        return f"the products of its inputs have {products} elements, expected at most {MOST_ELEMENTS}"
    return why_no_functions(node)


def _integer_convolution(node: ir.Node) -> str | None:
    axes, groups = _rank(node.inputs[0]) - 2, node.attributes.get_int("group", 1)
    if axes not in (1, 2):
        return f"it has a window over {axes} axes"
    if groups not in (1, _channels(node.inputs[0])):
        return f"it has {groups} groups of several channels"
    point = node.inputs[2] if len(node.inputs) > 2 else None
    if point is not None and (not is_constant(point) or _size(point) != 1):
        return f"the zero point '{point.name}' is not one constant"
    return _integer_weight(node)


def _integer_product(node: ir.Node) -> str | None:
    ranks = [_rank(value) for value in node.inputs[:2]]
    if ranks[0] < 2 or ranks[1] != 2 or any(value is not None for value in node.inputs[2:]):
        return "it has vectors, stacked weights or zero points"
    return _integer_weight(node)


def _integer_weight(node: ir.Node) -> str | None:
    """It is signed and constant, and no sum leaves 32 bits."""
    weight = node.inputs[1]
    if weight is None or not is_constant(weight) or weight.dtype != ir.DataType.INT8 or len(node.inputs) > 3:
        return "its weight is not of constant signed bytes"
    sums = np.abs(constant_array(weight).astype(np.int64))
    largest = sums.sum(0) if node.op_type == "MatMulInteger" else sums.reshape(len(sums), -1).sum(1)
    return None if 255 * int(largest.max(initial=0)) < 2**31 else "its sums may need more than 32 bits"


LARGEST_DETERMINANT = 4
PLANE_AXES = 2
"""Spatial axes of a convolution that its kernels take."""

REASONS: dict[str, Reason] = {
    "Conv": _many_axes,
    "ConvInteger": _integer_convolution,
    "MatMulInteger": _integer_product,
    "Gemm": _gemm,
    "BatchNormalization": _inference,
    "Dropout": _dropout,
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), _single_output),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), _scales),
    "GatherND": _batch_axes,
    **dict.fromkeys(("ReduceMax", "ReduceMin", "CumSum", "CumProd"), _no_booleans),
    "ReduceLogSumExp": _floats,
    "RoiAlign": _sampling_ratio,
    **{name: _few_axes for name, (_, operator) in CALLS.items() if operator == "Conv"},
    "Resize": _known_coordinates,
    "Det": _small_matrix,
    **dict.fromkeys(("Erf", "Gelu"), _error_function),
    **dict.fromkeys(RECURRENT, _recurrent),
}
"""Why an operator that has a kernel is refused all the same, by operator."""


def _rank(value: ir.Value | None) -> int:
    return value.shape.rank() if value is not None and value.shape is not None else 0


def _channels(value: ir.Value | None) -> int:
    channels = None if value is None or value.shape is None else value.shape[1]
    return channels if isinstance(channels, int) else 0


def _size(value: ir.Value | None) -> int:
    if value is None or value.shape is None or not value.shape.is_static():
        return 0
    return math.prod(int(n) for n in value.shape.numpy())


def _rows(value: ir.Value | None) -> int:
    """How often the last axis of a value repeats; 0 where that is not known, or it is empty."""
    size = _size(value)
    return size // int(value.shape[-1]) if size and value is not None and value.shape is not None else 0  # type: ignore[arg-type]


def refusal(node: ir.Node, operators: Collection[str]) -> str | None:
    """Why the backend cannot lower this node, or None if it can."""
    if any(subgraphs(node)):
        return "it has a subgraph"
    if node.op_type in RANDOM and node.domain == "":
        return "its result is random"
    if node.domain not in ("", DOMAIN) or node.op_type not in operators:
        return why_not_rewritten(node) or UNWRITTEN.get(node.op_type, "there is no kernel for this operator")
    for value in (*node.inputs, *node.outputs):
        if value is not None and value.type is not None and (reason := _type_refusal(value)):
            return reason
    for index in CONSTANT_INPUTS.get(node.op_type, ()):
        value = node.inputs[index] if index < len(node.inputs) else None
        if value is not None and not is_constant(value):
            return f"input '{value.name}' must be constant"
    reason_of = REASONS.get(node.op_type)
    return _dtype_refusal(node) or (None if reason_of is None else reason_of(node))


def _dtype_refusal(node: ir.Node) -> str | None:
    values = [value for value in (*node.inputs, *node.outputs) if value is not None]
    if node.op_type not in HALF_OPERATORS and any(value.dtype in HALVES for value in values):
        return "half-precision floats"
    first = node.inputs[0] if node.inputs else None
    if node.op_type in FLOAT32_ONLY and first is not None and first.dtype != ir.DataType.FLOAT:
        return f"element type {first.dtype}, expected FLOAT"
    return None


def _type_refusal(value: ir.Value) -> str | None:
    if not isinstance(value.type, ir.TensorType):
        return f"'{value.name}' is {value.type}, not a tensor"
    return None if value.dtype in DTYPES else f"'{value.name}' has element type {value.dtype}"
