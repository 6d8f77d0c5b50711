"""What rounded weights move means by, and that biases move them back."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.onnxruntime import session_for
from graphprune.calibration.biases import bias_corrections
from graphprune.calibration.ranges import calibrate
from graphprune.passes.base import run_pass
from graphprune.passes.quantize import Quantize
from tests.backends.tvm.graphs import Initializer, parse

RNG = np.random.default_rng(0)
CASES: dict[str, tuple[str, dict[str, Initializer], tuple[int, ...]]] = {
    "Conv with padding": (
        "g (float[1,3,6,6] x) => (float[1,4,3,3] y) { [p] y = Conv<pads=[1,1,1,1],strides=[2,2]>(x,w,b) }",
        {"w": (4, 3, 3, 3), "b": (4,)},
        (1, 3, 6, 6),
    ),
    "depthwise": (
        "g (float[1,3,6,6] x) => (float[1,3,4,4] y) { [p] y = Conv<group=3>(x,w) }",
        {"w": (3, 1, 3, 3)},
        (1, 3, 6, 6),
    ),
    "Gemm": (
        "g (float[2,5] x) => (float[2,4] y) { [p] y = Gemm<transB=1,alpha=0.5>(x,w,b) }",
        {"w": (4, 5), "b": (4,)},
        (2, 5),
    ),
    "MatMul of a transposed weight": (
        """g (float[2,3,5] x) => (float[2,3,4] y) {
            t = Transpose<perm=[1,0]>(w) [p] h = MatMul(x,t) y = Add(h,b) }""",
        {"w": (4, 5), "b": (4,)},
        (2, 3, 5),
    ),
}


def output(model: ir.Model, x: np.ndarray) -> np.ndarray:
    return session_for(model, optimize=False).run(["y"], {"x": x})[0]


def channel_means(array: np.ndarray, op: str) -> np.ndarray:
    axis = 1 if "Conv" in op or "depthwise" in op else array.ndim - 1
    return np.asarray(array.mean(axis=tuple(each for each in range(array.ndim) if each != axis)))


@pytest.mark.parametrize("name", CASES)
def test_the_mean_is_that_of_the_product_by_rounded_weights(name: str) -> None:
    """Weights rounded by hand, to a 127th of the largest one of each output."""
    text, initializers, shape = CASES[name]
    model = parse(text, initializers)
    feeds = [{"x": RNG.uniform(0, 1, shape).astype(np.float32)} for _ in range(3)]
    quantized = run_pass(Quantize(calibrate(model, feeds)), model).model
    ((node, found),) = bias_corrections(model, quantized, feeds)
    assert node == "p"
    tensor = model.graph.initializers["w"].const_value
    assert tensor is not None
    weight = tensor.numpy()
    scale = np.abs(weight).reshape(len(weight), -1).max(1).reshape(-1, *[1] * (weight.ndim - 1)) / np.float32(127)
    by_hand = model.clone()
    by_hand.graph.initializers["w"].const_value = ir.tensor((np.round(weight / scale) * scale).astype(np.float32))
    moved = [channel_means(output(model, feed["x"]) - output(by_hand, feed["x"]), name) for feed in feeds]
    assert np.abs(found).max() > 1e-4
    np.testing.assert_allclose(found, np.mean(moved, axis=0), atol=2e-6)


@pytest.mark.parametrize("name", CASES)
def test_corrected_means_are_those_of_the_model(name: str) -> None:
    """But for the rounding of biases and outputs: activations are whole numbers of their steps."""
    text, initializers, shape = CASES[name]
    model = parse(text, initializers)
    feeds = [{"x": RNG.integers(0, 256, shape).astype(np.float32)} for _ in range(3)]
    feeds[0]["x"].reshape(-1)[:2] = 0, 255
    ranges = calibrate(model, feeds)
    plain = run_pass(Quantize(ranges), model).model
    corrected = run_pass(Quantize(ranges, corrections=bias_corrections(model, plain, feeds)), model).model

    def error(other: ir.Model) -> float:
        shifts = [channel_means(output(model, feed["x"]) - output(other, feed["x"]), name) for feed in feeds]
        return float(np.abs(np.mean(shifts, axis=0)).max())

    assert error(corrected) < 0.5 * error(plain)


def test_products_that_stay_floats_have_none() -> None:
    text, initializers, shape = CASES["Gemm"]
    model = parse(text, initializers)
    feeds = [{"x": RNG.uniform(0, 1, shape).astype(np.float32)}]
    quantized = run_pass(Quantize(calibrate(model, feeds), keep=("p",)), model).model
    assert bias_corrections(model, quantized, feeds) == ()


def test_a_vector_has_no_channels() -> None:
    model = parse("g (float[2,5] x) => (float[2] y) { [p] y = MatMul(x,w) }", {"w": (5,)})
    feeds = [{"x": RNG.uniform(0, 1, (2, 5)).astype(np.float32)}]
    quantized = run_pass(Quantize(calibrate(model, feeds)), model)
    assert bias_corrections(model, quantized.model, feeds) == ()
