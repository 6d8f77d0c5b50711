"""Models that are verified, and sessions that hand out something else than they computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike

import numpy as np
import onnx_ir as ir

from graphprune_runtime.interface import Session, TensorInfo

TWO_LAYERS = """<ir_version: 10, opset_import: ["" : 20]>
g (float[batch,3] x) => (float[batch,2] y, float[batch,4] h)
<float[3,4] w1 = {0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,1,1.1,1.2},
 float[4,2] w2 = {0.1,-0.2,0.3,-0.4,0.5,-0.6,0.7,-0.8}> {
    [first] a = MatMul(x, w1)
    [second] h = Sigmoid(a)
    [third] b = MatMul(h, w2)
    [fourth] y = Tanh(b)
}"""


def model(old: str = "", new: str = "") -> ir.Model:
    """The two-layer model, with one piece of its text replaced."""
    assert not old or TWO_LAYERS.count(old) == 1
    return ir.from_onnx_text(TWO_LAYERS.replace(old, new) if old else TWO_LAYERS)


@dataclass
class Tampered:
    """A session whose results are changed before they are handed out."""

    session: Session
    change: Callable[[list[np.ndarray]], list[np.ndarray]]

    def run(self, names: Sequence[str] | None, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        return self.change([array.copy() for array in self.session.run(names, feed)])

    def get_inputs(self) -> list[TensorInfo]:
        return self.session.get_inputs()

    def get_outputs(self) -> list[TensorInfo]:
        return self.session.get_outputs()

    def save(self, path: str | PathLike[str]) -> None:
        self.session.save(path)


ZEROS = """<ir_version: 10, opset_import: ["" : 20]>
g (float[2] x) => (float[2] y) <float[1] zero = {0}> { y = Mul(x, zero) }"""


HALF = """<ir_version: 10, opset_import: ["" : 20]>
g (float[8] x) => (float[8] y) { h = Cast<to = 10>(x) k = Mul(h, h) y = Cast<to = 1>(k) }"""


def one_element(arrays: list[np.ndarray]) -> list[np.ndarray]:
    arrays[1][0, 2] += 1e-3
    return arrays


def one_nan(arrays: list[np.ndarray]) -> list[np.ndarray]:
    arrays[0][0, 0] = np.nan
    return arrays


def doubled(arrays: list[np.ndarray]) -> list[np.ndarray]:
    return [2 * array for array in arrays]


def permuted(arrays: list[np.ndarray]) -> list[np.ndarray]:
    return [array[:, ::-1] for array in arrays]


def swapped(arrays: list[np.ndarray]) -> list[np.ndarray]:
    return arrays[::-1]


def cut(arrays: list[np.ndarray]) -> list[np.ndarray]:
    return [array[:, :1] for array in arrays]


def double_precision(arrays: list[np.ndarray]) -> list[np.ndarray]:
    return [array.astype("float64") for array in arrays]
