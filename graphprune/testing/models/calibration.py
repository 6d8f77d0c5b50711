"""Batch-normalisation statistics as a network with these weights really produces them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime

from graphprune.verification.feeds import random_feed

_MIN_VARIANCE = 1e-3
_ERRORS_ONLY = 3  # ONNX Runtime's log severity: it warns of each statistic that the exchanged graph does not read


def calibrate_batch_norms(model: ir.Model, seed: int = 0) -> None:
    """Set the running mean and variance of each BatchNormalization from one seeded random input.

    At batch one, InstanceNormalization is what BatchNormalization computes while training, so one run of a copy of the
    graph with the operator exchanged yields the input of every normalisation, in order, in one pass.

    Args:
        model: A model with static input shapes; statistics initializers are replaced, never written into.
        seed: Of the random input.
    """
    norms = [node for node in model.graph if node.op_type == "BatchNormalization"]
    if not norms:
        return
    exchanged = model.clone()
    for node in list(exchanged.graph):
        if node.op_type == "BatchNormalization":
            exchanged.graph.outputs.append(_normalize_by_instance(node, exchanged.graph))
    names = [node.inputs[0].name or "" for node in norms if node.inputs[0] is not None]
    for node, x in zip(norms, _run(exchanged, names, random_feed(model, seed)), strict=True):
        axes = tuple(axis for axis in range(x.ndim) if axis != 1)
        _replace(node.inputs[3], x.mean(axes, dtype=np.float64))
        _replace(node.inputs[4], np.maximum(x.var(axes, dtype=np.float64), _MIN_VARIANCE))


def _normalize_by_instance(node: ir.Node, graph: ir.Graph) -> ir.Value:
    """Exchange `node` for an InstanceNormalization of the same input; return that input."""
    x, scale, bias = node.inputs[:3]
    if x is None:
        raise ValueError(f"node '{node.name}' has no input")
    stand_in = ir.node(
        "InstanceNormalization", [x, scale, bias], {"epsilon": node.attributes.get_float("epsilon", 1e-5)}
    )
    graph.insert_before(node, stand_in)
    ir.convenience.replace_all_uses_with(node.outputs[0], stand_in.outputs[0], replace_graph_outputs=True)
    graph.remove(node, safe=True)
    x.type = ir.TensorType(ir.DataType.FLOAT)
    return x


def _run(model: ir.Model, names: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    session = onnxruntime.InferenceSession(
        ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [np.asarray(array) for array in session.run(names, feed)]


def _replace(value: ir.Value | None, array: np.ndarray) -> None:
    if value is not None:
        value.const_value = ir.Tensor(array.astype(np.float32), name=value.name)
