"""What a model computes in ONNX Runtime, node by node as it is written."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnxruntime


def run_unoptimized(model: ir.Model, *inputs: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """Return the outputs of `model` for its inputs in order."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options)
    names = (str(value.name) for value in model.graph.inputs)
    return [np.asarray(each) for each in session.run(None, dict(zip(names, inputs, strict=True)))]
