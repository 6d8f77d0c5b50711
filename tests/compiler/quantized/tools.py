"""Small networks, what quantizes them, and the comparison of a file as it is read and compiled here with the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from onnxruntime.quantization import CalibrationDataReader

import graphprune
from graphprune.backends.onnxruntime import session_for

Feed = Mapping[str, np.ndarray]

Weights = Mapping[str, tuple[int, ...] | np.ndarray | np.generic]

_LEVELS = 2 / 255
_CLOSE = 1e-5

IMAGES = """g (float[1,2,5,5] x) => (float[1,3] y) {
    [first] a = Conv <pads = [1,1,1,1]> (x, w, b)
    [relu] r = Relu (a)
    [second] c = Conv <group = 4> (r, v)
    [sum] s = Add (c, r)
    [pool] p = MaxPool <kernel_shape = [2,2], strides = [2,2]> (s)
    [mean] m = GlobalAveragePool (p)
    [flat] f = Flatten (m)
    [last] y = Gemm <transB = 1> (f, u, t)
}"""
IMAGE_WEIGHTS: Weights = {"w": (4, 2, 3, 3), "b": (4,), "v": (4, 1, 1, 1), "u": (3, 4), "t": (3,)}

MOVES = """g (float[1,2,4,4] x) => (float[1,4,2,2] y) {
    [leaky] a = LeakyRelu <alpha = 0.1> (x)
    [mul] b = Mul (a, x)
    [cat] c = Concat <axis = 1> (a, b)
    [pool] d = AveragePool <kernel_shape = [2,2], strides = [2,2]> (c)
    [soft] e = Sigmoid (d)
    [where] y = Where (k, e, d)
}"""
MOVE_WEIGHTS: Weights = {"k": np.arange(16).reshape(1, 4, 2, 2) % 3 > 0}

ROWS = """g (float[3,16] x) => (float[3,6] y) {
    [first] h = MatMul (x, w)
    [relu] r = Relu (h)
    [last] y = MatMul (r, v)
}"""
ROW_WEIGHTS: Weights = {"w": (16, 8), "v": (8, 6)}


def proto(text: str, weights: Weights, opset: int = 18) -> onnx.ModelProto:
    """The network with seeded weights: a shape, or the numbers themselves."""
    header = f'<ir_version: {10 if opset > 20 else 8}, opset_import: ["" : {opset}, "com.microsoft" : 1]>\n'
    model = onnx.parser.parse_model(header + text)
    rng = np.random.default_rng(3)
    for name, given in weights.items():
        array = 0.4 * rng.standard_normal(given).astype(np.float32) if isinstance(given, tuple) else given
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), name))
    return model


def feeds(model: onnx.ModelProto, count: int = 3) -> list[dict[str, np.ndarray]]:
    """Seeded normal numbers for inputs of floats, and numbers below 4 for those of integers."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(count):
        feed = {}
        for value in model.graph.input:
            kind = value.type.tensor_type
            shape = [dim.dim_value for dim in kind.shape.dim]
            dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
            feed[value.name] = (rng.standard_normal(shape) if dtype.kind == "f" else rng.integers(0, 4, shape)).astype(
                dtype
            )
        found.append(feed)
    return found


class Samples(CalibrationDataReader):  # type: ignore[misc] # of a package without types
    """Feeds for calibration."""

    def __init__(self, given: Sequence[Feed]) -> None:
        self._given: Iterator[Feed] = iter(given)

    def get_next(self) -> Feed | None:
        """The next one."""
        return next(self._given, None)


def assert_read(path: Path, level: float = _LEVELS) -> ir.Model:
    """The file compiled here gives what ONNX Runtime gives for it without optimisations; return it as it was loaded.

    A sum in another order may move what lies between two integers to the other: then no output is off by more than
    `level` of the largest, and most samples are not off at all.
    """
    model = graphprune.load(path)
    ours, theirs = graphprune.compile(model), session_for(ir.load(path), optimize=False)
    tight = []
    for feed in feeds(onnx.load(path, load_external_data=False)):
        errors = []
        for one, other in zip(ours.run(None, feed), theirs.run(None, feed), strict=True):
            assert (one.dtype, one.shape) == (other.dtype, other.shape)
            apart = np.abs(one.astype(np.float64) - other.astype(np.float64)).max(initial=0)
            errors.append(apart / max(np.abs(other).max(initial=0), 1e-9))
        assert max(errors) <= level
        tight.append(max(errors) <= _CLOSE)
    assert sum(tight) * 2 > len(tight)
    return model
