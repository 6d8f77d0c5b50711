"""Functions of one element in front of moves: where they are lifted, where not, and that nothing changes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from tests.backends.tvm.graphs import Initializer, assert_equal_on, kernels, operators, parse

X = np.random.default_rng(0).standard_normal((1, 4, 6, 6)).astype(np.float32)

LIFTED = [
    "r = Reshape(c,flat) y = Relu(r)",
    "r = Transpose<perm=[0,2,3,1]>(c) y = LeakyRelu<alpha=0.2>(r)",
    "r = Slice(c,two,four,two) y = Sigmoid(r)",
    "r = Reshape(c,flat) s = Mul(half,r) y = Tanh(s)",
    "r = Flatten(c) s = Unsqueeze(r,two) y = Clip(s,low,high)",
]
LEFT = {
    "read twice": "r = Reshape(c,flat) s = Relu(r) t = Transpose<perm=[0,2,1]>(r) y = MatMul(s,t)",
    "the product is read twice": "r = Reshape(c,flat) s = Relu(r) t = Reshape(c,flat) y = Sub(s,t)",
    "other operands have places": "r = Reshape(c,rows) y = Mul(r,many)",
    "what is moved is no product": "m = Softmax<axis=1>(c) r = Reshape(m,flat) y = Relu(r)",
    "another type": "r = Reshape(c,flat) y = Cast<to=11>(r)",
}
CONSTANTS: dict[str, Initializer] = {
    "w": (8, 4, 1, 1),
    "v": (8, 4, 1, 1),
    "half": np.array([0.5], np.float32),
    "many": (6,),
    "flat": np.array([1, 8, -1]),
    "rows": np.array([1, -1, 6]),
    "two": np.array([2]),
    "four": np.array([4]),
    "low": np.array(-0.5, np.float32),
    "high": np.array(0.5, np.float32),
}
HEAD = "g (float[1,4,6,6] x) => (%s[] y) { c = Conv(x,w) %s }"


def model_of(body: str) -> ir.Model:
    model = parse(HEAD % ("double" if "to=11" in body else "float", body), CONSTANTS)
    model.graph.outputs[0].shape = None
    return model


@pytest.mark.parametrize("body", LIFTED)
def test_lifted_to_the_product(body: str) -> None:
    model = model_of(body)
    assert "elementwise" not in kernels(model)
    assert_equal_on({"x": X}, model, rtol=1e-5)


@pytest.mark.parametrize("body", LEFT.values(), ids=LEFT)
def test_left_where_it_is(body: str) -> None:
    model = model_of(body)
    assert operators(model) == [node.op_type for node in model.graph]
    assert_equal_on({"x": X}, model, rtol=1e-5, atol=1e-5)


def test_every_part_of_what_is_joined() -> None:
    joined = model_of("d = Conv(x,v) r = Concat<axis=1>(c,d) y = Relu(r)")
    assert operators(joined) == ["Conv", "Relu", "Conv", "Relu", "Concat"]
    assert_equal_on({"x": X}, joined, rtol=1e-5)
    with_input = model_of("r = Concat<axis=1>(c,x) y = Relu(r)")
    assert operators(with_input) == ["Conv", "Concat", "Relu"]


def test_an_operand_a_channel_stays_where_the_channels_are() -> None:
    text = """g (float[1,4,6,6] x) => (float[1,1,12,12] y) {
        z = ConvTranspose<strides=[2,2]>(x,t)
        y = BatchNormalization(z,one,one,one,one) }"""
    model = parse(text, {"t": (4, 1, 2, 2), "one": np.array([0.5], np.float32)})
    assert operators(model)[-1] == "BatchNormalization"
    assert_equal_on({"x": X}, model, rtol=1e-5, atol=1e-6)


def test_a_transposed_convolution_takes_its_function() -> None:
    text = "g (float[1,4,6,6] x) => (float[1,8,12,12] y) { z = ConvTranspose<strides=[2,2]>(x,t) y = Relu(z) }"
    model = parse(text, {"t": (4, 8, 2, 2)})
    assert kernels(model) == ["dense", "copy"]
    assert_equal_on({"x": X}, model, rtol=1e-5, atol=1e-6)
