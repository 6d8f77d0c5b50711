"""A small model that everything accepts, to be spoilt, and folders that must stay as they are."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper, parser

TEXT = """<ir_version: 10, opset_import: ["" : 20]>
g (float[1,8,6,6] x) => (float[1,16,6,6] y) {
    [conv] c = Conv <pads = [1,1,1,1]> (x, w)
    [relu] y = Relu(c)
}"""


def weight(shape: tuple[int, ...] = (16, 8, 3, 3)) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def proto(text: str = TEXT, **weights: np.ndarray) -> onnx.ModelProto:
    """Parse `text` and add its weights: `w` unless others are given."""
    model = parser.parse_model(text)
    tensors = weights or {"w": weight()}
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in tensors.items())
    return model


def write(path: Path, text: str = TEXT, **weights: np.ndarray) -> Path:
    path.write_bytes(proto(text, **weights).SerializeToString())
    return path


@contextlib.contextmanager
def unchanged(folder: Path) -> Iterator[None]:
    """Check that the block leaves every file of `folder` as it was, and no other."""
    before = _contents(folder)
    yield
    assert _contents(folder) == before


def _contents(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}
