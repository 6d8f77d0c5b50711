"""What outputs err by with another weight, beside NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.allocation import sensitivity
from graphprune.allocation.sensitivity import Sensitivity
from graphprune.analysis.weights import linear_weights
from graphprune.calibration.ranges import Feed
from graphprune.passes.fingerprint import fingerprint
from tests.backends.tvm.graphs import parse

RNG = np.random.default_rng(4)
U, V = (RNG.standard_normal(shape).astype(np.float32) for shape in ((6, 8), (6, 3)))
FEEDS: list[Feed] = [{"x": RNG.standard_normal((1, 8)).astype(np.float32)} for _ in range(20)]
TEXT = """g (float[1,8] x) => (float[1,6] a, float[1,3] y) {
    t = Transpose<perm=[1,0]>(u) a = MatMul(x,t) c = Relu(a) y = MatMul(c,v) }"""


def outputs(u: np.ndarray, v: np.ndarray, count: int) -> list[np.ndarray]:
    x = np.concatenate([feed["x"] for feed in FEEDS[:count]]).astype(np.float64)
    return [x @ u.T, np.maximum(x @ u.T, 0) @ v]


def expected(u: np.ndarray, v: np.ndarray, count: int = 16) -> float:
    pairs = zip(outputs(U, V, count), outputs(u, v, count), strict=True)
    return max(float(np.square(two - one).sum() / np.square(one).sum()) for one, two in pairs)


def test_the_largest_error_of_all_outputs() -> None:
    model = parse(TEXT, {"u": U, "v": V})
    before = fingerprint(model)
    weights = {weight.name: weight for weight in linear_weights(model)[0]}
    found = Sensitivity(model, list(weights.values()), FEEDS)
    other, half = np.where(np.abs(U) > 0.5, U, 0), V / 2
    assert found.error(weights["u"], other) == pytest.approx(expected(other, V), rel=1e-4)
    assert found.error(weights["v"], half) == pytest.approx(0.25, rel=1e-4)
    assert found.error(weights["u"], U) == pytest.approx(0, abs=1e-12)
    assert fingerprint(model) == before


def test_weights_of_constant_nodes() -> None:
    values = ", ".join(str(float(value)) for value in V.ravel())
    text = TEXT.replace("t = Trans", f"v = Constant<value=float[6,3] {{{values}}}>() t = Trans")
    model = parse(text, {"u": U})
    weights = {weight.name: weight for weight in linear_weights(model)[0]}
    found = Sensitivity(model, [weights["v"]], FEEDS)
    assert found.error(weights["v"], V * 3) == pytest.approx(4, rel=1e-4)


def test_fewer_samples_where_outputs_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensitivity, "_OUTPUT_BYTES", 4 * 9 * 3)
    model = parse(TEXT, {"u": U, "v": V})
    (u, _) = linear_weights(model)[0]
    other = np.where(np.abs(U) > 0.5, U, 0)
    assert Sensitivity(model, [u], FEEDS).error(u, other) == pytest.approx(expected(other, V, 4), rel=1e-4)
    monkeypatch.setattr(sensitivity, "_OUTPUT_BYTES", 0)
    assert Sensitivity(model, [u], FEEDS).error(u, other) == pytest.approx(expected(other, V, 2), rel=1e-4)


def test_outputs_that_are_zero() -> None:
    model = parse("g (float[1,8] x) => (float[1,6] y) { y = MatMul(x,u) }", {"u": np.zeros((8, 6), np.float32)})
    (u,) = linear_weights(model)[0]
    found = Sensitivity(model, [u], FEEDS)
    assert found.error(u, np.zeros((8, 6), np.float32)) == 0
    assert found.error(u, np.ones((8, 6), np.float32)) == 1
