"""Samples on their way: what layers see is what they see in the whole model, as it is in the end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphprune.analysis.constants import replace_constant
from graphprune.analysis.weights import linear_weights
from graphprune.calibration.streaming.columns import multiplied
from graphprune.calibration.streaming.stream import Stream
from graphprune.passes.shape_inference import infer_shapes
from graphprune.verification.intermediate import run_with_outputs
from tests.backends.tvm.graphs import Initializer, parse

RNG = np.random.default_rng()


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state


MODELS: dict[str, tuple[str, dict[str, Initializer], list[list[str]]]] = {
    "a chain with a residual": (
        """g (float[2,4] x) => (float[2,4] y) {
            a = MatMul(x,u) b = Relu(a) c = MatMul(b,v) s = Add(c,x) d = Tanh(s) e = MatMul(d,w) y = Softmax(e) }""",
        {"u": (4, 4), "v": (4, 4), "w": (4, 4)},
        [["u"], ["v"], ["w"]],
    ),
    "transposed weights, which nodes make of them": (
        """g (float[2,4] x) => (float[2,4] y) {
            t = Transpose(u) r = Transpose(v) a = MatMul(x,t) b = Relu(a) y = MatMul(b,r) }""",
        {"u": (4, 4), "v": (4, 4)},
        [["u"], ["v"]],
    ),
    "branches that meet": (
        """g (float[2,4] x) => (float[2,4] y) {
            a = MatMul(x,u) b = MatMul(x,v) c = Mul(a,b) k = Exp(x) d = MatMul(c,w) y = Add(d,k) }""",
        {"u": (4, 4), "v": (4, 4), "w": (4, 4)},
        [["u", "v"], ["w"]],
    ),
    "a subgraph that reads what lies outside": (
        """g (float[2,4] x, bool c) => (float[2,4] y) {
            a = MatMul(x,u) k = Exp(x)
            b = If (c) <then_branch = p () => (float[2,4] h) { h = Add(a,k) },
                        else_branch = q () => (float[2,4] i) { i = Identity(x) }>
            y = MatMul(b,v) }""",
        {"u": (4, 4), "v": (4, 4)},
        [["u"], ["v"]],
    ),
}


def feeds(count: int = 3) -> list[dict[str, np.ndarray]]:
    return [{"x": RNG.standard_normal((2, 4)).astype(np.float32), "c": np.ones((), np.bool_)} for _ in range(count)]


@pytest.mark.parametrize("memory", [1 << 20, 40], ids=["in memory", "in files"])
@pytest.mark.parametrize("name", MODELS)
def test_layers_see_what_they_see_in_the_end(name: str, memory: int, tmp_path: Path) -> None:
    text, initializers, stops = MODELS[name]
    model = parse(text, initializers)
    infer_shapes(model)
    given = [{key: feed[key] for key in (value.name for value in model.graph.inputs) if key} for feed in feeds()]
    weights = {weight.node: weight for weight in linear_weights(model)[0]}
    stream = Stream(model, weights, given, tmp_path, memory)
    seen: dict[str, list[np.ndarray]] = {}
    for nodes, expected in zip(stream.layers(), stops, strict=True):
        assert [weights[node].name for node in nodes] == expected
        for node in nodes:
            value = multiplied(weights[node])
            seen[str(value.name)] = list(stream.inputs(value))
            replace_constant(weights[node].value, weights[node].tensor.numpy() * np.float32(0.5))
    for sample, feed in enumerate(given):
        for value_name, array in run_with_outputs(model, set(seen), feed).items():
            np.testing.assert_allclose(seen[value_name][sample], array, rtol=1e-5, atol=1e-6)
    assert not list(tmp_path.iterdir()) or memory < 1 << 20


def test_what_no_layer_depends_on_does_not_run(tmp_path: Path) -> None:
    text = """g (float[2,4] x) => (float[2,4] y) {
        a = MatMul(x,u) h = MatMul(a,v) i = Cast<to=6>(h) j = Div(i,i) y = Cast<to=1>(j) }"""
    model = parse(text, {"u": (4, 4), "v": (4, 4)})
    infer_shapes(model)
    layers = [weight.node for weight in linear_weights(model)[0]]
    stream = Stream(model, layers, [{"x": np.zeros((2, 4), np.float32)}], tmp_path)
    assert [len(nodes) for nodes in stream.layers()] == [1, 1]


def test_weights_are_those_of_when_a_layer_runs(tmp_path: Path) -> None:
    model = parse("g (float[1,2] x) => (float[1,2] y) { a = MatMul(x,u) y = MatMul(a,v) }", {"u": (2, 2), "v": (2, 2)})
    infer_shapes(model)
    first, second = linear_weights(model)[0]
    stream = Stream(model, [first.node, second.node], [{"x": np.ones((1, 2), np.float32)}], tmp_path)
    stops = stream.layers()
    next(stops)
    replace_constant(first.value, np.full((2, 2), 3, np.float32))
    next(stops)
    np.testing.assert_array_equal(next(stream.inputs(multiplied(second))), [[6, 6]])


def test_only_what_is_read_later_is_kept(tmp_path: Path) -> None:
    text, initializers, _ = MODELS["a chain with a residual"]
    model = parse(text, initializers)
    infer_shapes(model)
    layers = [weight.node for weight in linear_weights(model)[0]]
    stream = Stream(model, layers, [{"x": np.ones((2, 4), np.float32)}], tmp_path, memory=0)
    # x; what the second layer multiplies, and x; what the last one multiplies.
    assert [len(list(tmp_path.iterdir())) for _ in stream.layers()] == [1, 2, 1]
