"""What layers multiply, as it is and as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.analysis.constants import replace_constant
from graphprune.analysis.weights import linear_weights
from graphprune.calibration.inputs import LayerInputs, Wanted
from graphprune.passes.shape_inference import infer_shapes
from graphprune.verification.intermediate import run_with_outputs
from tests.backends.tvm.graphs import parse

FEEDS = [{"x": array} for array in np.random.default_rng(0).standard_normal((3, 2, 4)).astype(np.float32)]
TEXT = """g (float[2,4] x) => (float[2,4] y) {
    a = MatMul(x,u) k = MatMul(x,v) b = Mul(a,k) c = Tanh(b) d = MatMul(c,w) e = MatMul(b,s) y = Add(d,e) }"""


def network() -> ir.Model:
    model = parse(TEXT, dict.fromkeys("uvws", (4, 4)))
    infer_shapes(model)
    return model


def seen(model: ir.Model, name: str) -> np.ndarray:
    """All rows of a value."""
    return np.concatenate([run_with_outputs(model, {name}, feed)[name] for feed in FEEDS]).astype(np.float64)


@pytest.mark.parametrize("memory", [0, 1 << 20])
def test_drifts_are_between_the_dense_model_and_what_has_become_of_it(memory: int, tmp_path: Path) -> None:
    model, dense = network(), network()
    by_node = {weight.node: weight for weight in linear_weights(model)[0]}
    inputs = LayerInputs(model, by_node, FEEDS, tmp_path, memory, Wanted(products=True, dense=True))
    found = {}
    for nodes in inputs.stops():
        for node in nodes:
            weight = by_node[node]
            (moments,), drifts = inputs.moments(weight), inputs.drifts(weight)
            assert drifts is not None
            found[weight.name] = moments, drifts[0]
            replace_constant(weight.value, weight.tensor.numpy() * np.float32(0.5))
    assert list(found) == ["u", "v", "w", "s"]
    for name, value in {"u": "x", "v": "x", "w": "c", "s": "b"}.items():
        moments, drift = found[name]
        now, before = seen(model, value), seen(dense, value)
        np.testing.assert_allclose(moments.total, now.sum(axis=0), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(drift.total, (before - now).sum(axis=0), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(drift.products, (before - now).T @ now, rtol=1e-4, atol=1e-4)
    assert np.abs(found["w"][1].total).max() > 0.1


def test_layers_that_multiply_the_same_have_the_same_sums(tmp_path: Path) -> None:
    model = network()
    by_node = {weight.node: weight for weight in linear_weights(model)[0]}
    inputs = LayerInputs(model, by_node, FEEDS, tmp_path, 1 << 20, Wanted())
    first, second = (inputs.moments(by_node[node]) for node in next(inputs.stops()))
    assert first is second
    assert first[0].products is None
    assert inputs.drifts(next(iter(by_node.values()))) is None
