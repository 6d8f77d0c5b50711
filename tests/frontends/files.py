"""Model files for the frontends' tests, made without the code under test."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper, parser

CHAIN = """<ir_version: 10, opset_import: ["" : 20]>
g (float[2,4] x) => (float[2,2] y) {
    [product] p = MatMul(x, w)
    [activation] y = Relu(p)
}"""
WEIGHT = np.arange(8, dtype=np.float32).reshape(4, 2)
WIDE = """<ir_version: 10, opset_import: ["" : 20]>
g (float[2,64] x) => (float[2,32] y) { [product] y = MatMul(x, w) }"""
WIDE_WEIGHT = np.arange(64 * 32, dtype=np.float32).reshape(64, 32)


def write(path: Path, text: str = CHAIN, **weights: np.ndarray) -> Path:
    """Write `text` with `weights` as initializers; `CHAIN` gets its own."""
    model = parser.parse_model(text)
    tensors = weights or ({"w": WEIGHT} if text is CHAIN else {})
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in tensors.items())
    path.write_bytes(model.SerializeToString())
    return path


def write_external(
    path: Path,
    array: np.ndarray = WIDE_WEIGHT,
    *,
    location: str = "w.data",
    offset: int = 0,
    length: int | None = None,
    data: bytes | None = None,
) -> Path:
    """Write `WIDE` with its weight in the file `location`, which gets `data`, or the bytes of `array`."""
    model = parser.parse_model(WIDE)
    tensor = TensorProto(name="w", data_type=onnx.helper.np_dtype_to_tensor_dtype(array.dtype), dims=array.shape)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="offset", value=str(offset))
    if length is not None:
        tensor.external_data.add(key="length", value=str(length))
    model.graph.initializer.append(tensor)
    path.write_bytes(model.SerializeToString())
    target = path.parent / location
    if not target.exists() and target.parent.is_dir():
        target.write_bytes(array.tobytes() if data is None else data)
    return path
