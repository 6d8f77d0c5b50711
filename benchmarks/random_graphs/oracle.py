"""What one node gives: ONNX Runtime on it alone, so that no other node's optimisation or rounding is part of it.

For bfloat16, which it has few kernels for, it computes in float32, and the result is rounded once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from benchmarks.random_graphs.elements import BFLOAT16, DTYPES, element_type, is_float, resolution
from graphprune.testing.onnx_cases import CANCELLING

SLIGHTLY_OTHER = 4
"""Runs with inputs that are slightly other ones; the results of two each are moved to opposite sides."""

OF_ATTRIBUTES = 2.0**-23
"""What attributes resolve: they are float32 whatever the operands are."""

ULPS = 4
"""That the function of one operator may be off, of a sum also each of its terms."""

INACCURATE = frozenset(
    {
        *("Elu", "Selu", "Celu", "Sigmoid", "Tanh", "Erf", "Softplus", "Mish", "Gelu", "Swish", "HardSwish", "Sinh"),
        *(
            "Softmax",
            "LogSoftmax",
            "LayerNormalization",
            "LSTM",
            "GRU",
            "RNN",
            "Attention",
            "Asinh",
            "Acosh",
            "Atanh",
            "SwiGLU",
        ),
        *("Sin", "Cos", "Tan", "SoftmaxCrossEntropyLoss"),
        *("HannWindow", "HammingWindow", "BlackmanWindow", "LinearAttention", "CausalConvWithState"),
    }
)
"""ONNX Runtime computes them by polynomials, or subtracts 1 at the end: to units in the last place of 1."""

OF_OPERANDS = CANCELLING | {"DFT", "STFT", "GridSample", "Resize", "RoiAlign", "Upsample", "Shrink"}
"""Their sums may cancel, or their coordinates are rounded: to units in the last place of the largest operand."""

OF_ONE = 1.0

Arrays = tuple[np.ndarray, ...]
"""A value as the oracle has it, then as it is where what led to it is slightly other."""


class Operand(NamedTuple):
    """A value that a node reads."""

    name: str
    arrays: Arrays
    is_setting: bool


class Rounding(NamedTuple):
    """How much of a result is rounded away: at least a share of it, and of what is at least of a size."""

    least: float = 0.0
    size: float = 0.0


TO_THE_LAST_PLACE = Rounding()


class OracleError(Exception):
    """ONNX Runtime does not take the node."""


def evaluate(
    node: onnx.NodeProto, operands: Sequence[Operand], opset: int, random: np.random.Generator, *, is_exact: bool
) -> list[Arrays]:
    """The node's outputs; of one that is not exact they also differ where the operands do not.

    Raises:
        OracleError: ONNX Runtime does not take the node.
    """
    given = list({operand.name: operand for operand in operands}.values())
    _check_types(node, given, opset)
    session, halves = _session(node, given, opset), _halves(node, given, opset)
    fed = [operand for operand in given if not operand.is_setting]
    runs = []
    for index in range(1 + SLIGHTLY_OTHER):
        feed = {each.name: _fed(each, index, random, is_exact=is_exact) for each in fed}
        try:
            results = session.run(None, feed)
        except Exception as error:  # its exception classes share no base
            raise OracleError(str(error)) from error
        runs.append([_rounded(array, half=half) for array, half in zip(results, halves, strict=True)])
    rounding = _rounding(node, given, opset)
    return [_varied([run[i] for run in runs], random, rounding, is_exact=is_exact) for i in range(len(runs[0]))]


def _rounding(node: onnx.NodeProto, given: Sequence[Operand], opset: int) -> Rounding:
    attributes = onnx.defs.get_schema(node.op_type, opset).attributes.values()
    has_numbers = any(attribute.type == onnx.defs.OpSchema.AttrType.FLOAT for attribute in attributes)
    has_numbers = has_numbers or node.op_type in {"Gelu", "HardSwish", "DFT"}  # whose constants it has in float32
    least, size = OF_ATTRIBUTES if has_numbers else 0.0, OF_ONE if node.op_type in INACCURATE else 0.0
    return Rounding(least, max(size, _largest(given)) if node.op_type in OF_OPERANDS else size)


def _largest(given: Sequence[Operand]) -> float:
    floats = [np.abs(each.arrays[0].astype(np.float64)) for each in given if is_float(each.arrays[0].dtype)]
    return max((float(array.max(initial=0.0)) for array in floats), default=0.0)


def _check_types(node: onnx.NodeProto, given: Sequence[Operand], opset: int) -> None:
    """ONNX Runtime takes more than the standard, and bfloat16 is not shown to it."""
    model = _model(node, {each.name: each.arrays[0] for each in given if not each.is_setting}, given, opset)
    try:
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
        onnx.checker.check_model(inferred)
    except Exception as error:  # its exception classes share no base
        raise OracleError(str(error)) from error


def _model(
    node: onnx.NodeProto, inputs: Mapping[str, np.ndarray], given: Sequence[Operand], opset: int
) -> onnx.ModelProto:
    infos = [helper.make_tensor_value_info(name, element_type(a.dtype), a.shape) for name, a in inputs.items()]
    weights = [onnx.numpy_helper.from_array(each.arrays[0], each.name) for each in given if each.is_setting]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output]
    graph = helper.make_graph([node], "one", infos, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def _session(node: onnx.NodeProto, given: Sequence[Operand], opset: int) -> onnxruntime.InferenceSession:
    wide = [each._replace(arrays=tuple(map(_wide, each.arrays))) for each in given]
    model = _model(node, {each.name: each.arrays[0] for each in wide if not each.is_setting}, wide, opset)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exception classes share no base
        raise OracleError(str(error)) from error


def _halves(node: onnx.NodeProto, given: Sequence[Operand], opset: int) -> list[bool]:
    """Which outputs are bfloat16: those of a type that an operand has which is."""
    schema = onnx.defs.get_schema(node.op_type, opset)
    dtypes = {each.name: each.arrays[0].dtype for each in given}
    types = {
        schema.inputs[min(index, len(schema.inputs) - 1)].type_str
        for index, name in enumerate(node.input)
        if dtypes.get(name) == BFLOAT16
    }
    return [schema.outputs[min(i, len(schema.outputs) - 1)].type_str in types for i in range(len(node.output))]


def _wide(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == BFLOAT16 else array


def _rounded(array: object, *, half: bool) -> np.ndarray:
    if not isinstance(array, np.ndarray) or array.dtype not in DTYPES.values():
        raise OracleError("the output is no tensor that anything here takes")
    return array.astype(BFLOAT16) if half else array


def _fed(operand: Operand, index: int, random: np.random.Generator, *, is_exact: bool) -> np.ndarray:
    array = operand.arrays[min(index, len(operand.arrays) - 1)]
    if index and not is_exact and len(operand.arrays) == 1:
        array = _other(array, _signs(array, random))  # the terms of a sum may cancel
    return _wide(array)


def _varied(arrays: list[np.ndarray], random: np.random.Generator, rounding: Rounding, *, is_exact: bool) -> Arrays:
    if not is_float(arrays[0].dtype):
        return (arrays[0],)
    if is_exact:
        same = all(np.array_equal(_wide(arrays[0]), _wide(other), equal_nan=True) for other in arrays[1:])
        return (arrays[0],) if same else tuple(arrays)
    others = []
    for one, another in zip(arrays[1::2], arrays[2::2], strict=True):
        signs = _signs(arrays[0], random)
        others += [_other(one, signs, rounding), _other(another, -signs, rounding)]
    return (arrays[0], *others)


def _signs(array: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """To which side each element goes, and how far: were it the same each time, two nodes in a row could cancel."""
    return random.choice((-1.0, 1.0), array.shape) * random.uniform(0.5, 1.0, array.shape)


def _other(array: np.ndarray, signs: np.ndarray, rounding: Rounding = TO_THE_LAST_PLACE) -> np.ndarray:
    """The array with each element off by a few units, to the side of its sign."""
    if not is_float(array.dtype):
        return array
    unit, wide = max(resolution(array.dtype), rounding.least), array.astype(np.float64)
    steps = ULPS * unit * signs
    with np.errstate(all="ignore"):
        return np.asarray(wide + steps * np.maximum(np.abs(wide), rounding.size)).astype(array.dtype)
