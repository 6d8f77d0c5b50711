"""Running a model by ONNX Runtime."""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
import onnxruntime


def run(model: ir.Model, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options)
    return [np.asarray(array) for array in session.run(None, dict(feed))]
