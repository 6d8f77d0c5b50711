"""Compute one operator whose inputs are all constants, by onnx's reference evaluator."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper

from graphprune.passes.bounded_evaluation import Budget, BudgetExceededError, bounded_evaluator
from graphprune.passes.structure import one_line, subgraphs

_OTHERWISE = frozenset({"LogSoftmax", "LpNormalization", "LpPool", "MaxPool", "Resize"})
"""Operators that onnx (seen on 1.23) computes otherwise than ONNX Runtime: the first as the logarithm of what has lost
its digits, the second with the sign of its terms, pools with other windows where they round up and have dilations, and
with places of the padding for equal maxima."""

_HALVES = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


class CannotEvaluateError(Exception):
    """The operator cannot be computed at compile time; the message says why."""


def evaluate(model: ir.Model, node: ir.Node, budget: Budget | None = None) -> list[ir.TensorProtocol]:
    """Return the outputs of `node` as tensors; they are taken off `budget`, by default that of the model.

    Half-precision floats are computed in float32 and rounded once, as at run time.

    Raises:
        CannotEvaluateError: The evaluator lacks the operator, computes another function than ONNX Runtime or fails,
            the budget does not suffice, or its result is not of the type and shape that inference gives.
    """
    if node.op_type == "Constant":
        return [_constant(node)]
    if node.domain == "" and (node.op_type in _OTHERWISE or _is_mean_of_integers(node)):
        raise CannotEvaluateError("onnx evaluates it otherwise than ONNX Runtime")
    feed = {
        str(value.name): value.const_value.numpy()
        for value in node.inputs
        if value is not None and value.const_value is not None
    }
    if _is_computed_in_float32(node):
        feed = {
            name: _rounded(array, np.dtype(np.float32)) if _is_half(array) else array for name, array in feed.items()
        }
    try:
        results = bounded_evaluator(_single_node(model, node, feed), budget or Budget.of(model)).run(None, feed)
    except BudgetExceededError as error:
        raise CannotEvaluateError(f"{error} for what a file may make us compute") from error
    except Exception as error:  # it raises whatever NumPy does
        raise CannotEvaluateError(f"onnx cannot evaluate it: {one_line(error)}") from error
    return [_checked(value, result) for value, result in zip(node.outputs, results, strict=True)]


def _is_mean_of_integers(node: ir.Node) -> bool:
    """Which onnx computes as a mean of floats: of none it is NaN, not 0, and large ones lose their digits."""
    value = node.inputs[0] if node.op_type == "ReduceMean" else None
    return value is not None and value.dtype is not None and value.dtype.is_integer()


def _is_computed_in_float32(node: ir.Node) -> bool:
    typed = all(value.dtype is not None for value in node.outputs)
    return typed and node.op_type != "BitCast" and not any(subgraphs(node))


def _is_half(array: np.ndarray) -> bool:
    return ir.DataType.from_numpy(array.dtype) in _HALVES


def _rounded(array: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    with np.errstate(over="ignore"):  # to infinity, as a run has it
        return array.astype(dtype)


def _constant(node: ir.Node) -> ir.TensorProtocol:
    """Return the value of a `Constant`: a new tensor, because attributes are shared between clones."""
    if "value" in node.attributes:
        tensor = node.attributes["value"].as_tensor()
        return ir.tensor(tensor.numpy(), tensor.dtype)
    name, attribute = next(iter(node.attributes.items()))
    return ir.tensor(np.array(attribute.value, np.float32 if name.startswith("value_float") else np.int64))


def _single_node(model: ir.Model, node: ir.Node, feed: dict[str, np.ndarray]) -> onnx.ModelProto:
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in feed.items()
    ]
    outputs = [helper.make_value_info(str(value.name), onnx.TypeProto()) for value in node.outputs]
    graph = helper.make_graph([ir.serde.serialize_node(node)], "single", inputs, outputs)
    opsets = [helper.make_opsetid(domain, version) for domain, version in model.graph.opset_imports.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=model.ir_version)


def _checked(value: ir.Value, result: object) -> ir.TensorProtocol:
    array = np.asarray(result)
    if not isinstance(result, np.ndarray | np.generic):
        raise CannotEvaluateError(f"onnx evaluates it to a {type(result).__name__}, expected a tensor")
    if value.dtype in _HALVES and array.dtype == np.float32:
        array = _rounded(array, np.dtype(value.dtype.numpy()))
    tensor = ir.tensor(np.ascontiguousarray(array).reshape(array.shape))
    if value.dtype is not None and tensor.dtype != value.dtype:
        raise CannotEvaluateError(f"onnx evaluates it to {tensor.dtype}, expected {value.dtype}")
    if value.shape is not None and value.shape.is_static() and array.shape != tuple(value.shape.numpy()):
        raise CannotEvaluateError(f"onnx evaluates it to shape {list(array.shape)}, expected {value.shape}")
    return tensor
