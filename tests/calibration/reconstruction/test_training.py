"""One block, trained."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.onnxruntime import session_for
from graphprune.calibration.reconstruction import training
from graphprune.calibration.reconstruction.training import Pair, train_block
from graphprune.errors import UnsupportedModelError
from tests.backends.tvm.graphs import parse, pruned

RNG = np.random.default_rng(4)
TEXT = "g (float[1,8] x) => (float[1,8] y) { a = Gemm(x,u,b) r = Relu(a) y = MatMul(r,v) }"


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "STEPS", 100)


def block() -> ir.Model:
    return parse(TEXT, {"u": pruned(8, 16, zeros=0.5), "v": pruned(16, 8, zeros=0.5), "b": np.zeros(16, np.float32)})


def run(model: ir.Model, feed: np.ndarray) -> np.ndarray:
    found: np.ndarray = session_for(model, optimize=False).run(None, {"x": feed})[0]
    return found


def pairs(count: int) -> list[Pair]:
    dense = parse(TEXT, {"u": (8, 16), "v": (16, 8), "b": (16,)})
    feeds = [RNG.standard_normal((1, 8)).astype(np.float32) for _ in range(count)]
    return [Pair({"x": feed}, {"y": run(dense, feed)}) for feed in feeds]


def constants(model: ir.Model, found: dict[str, np.ndarray]) -> ir.Model:
    for name, array in found.items():
        model.graph.initializers[name].const_value = ir.tensor(array, name=name)
    return model


def error(model: ir.Model, held: list[Pair]) -> float:
    parts = [(run(model, pair.taken["x"]), pair.wanted["y"]) for pair in held]
    return float(np.mean([np.square(one - other).sum() / np.square(other).sum() for one, other in parts]))


def test_outputs_come_closer_on_samples_that_were_held_back() -> None:
    known, held = pairs(48), pairs(16)
    found = train_block(block(), ["u", "v", "b"], known, held, 0)
    assert set(found) == {"u", "v", "b"}
    assert error(constants(block(), found), held) < 0.9 * error(block(), held)
    again = train_block(block(), ["u", "v", "b"], known, held, 0)
    for name, array in found.items():
        np.testing.assert_array_equal(array, again[name])
    other = train_block(block(), ["u", "v", "b"], known, held, 1)
    assert any(np.any(array != other[name]) for name, array in found.items())


def test_zeros_of_matrices_stay_zero_and_those_of_biases_do_not() -> None:
    found, before = train_block(block(), ["u", "v", "b"], pairs(32), pairs(8), 0), block().graph.initializers
    for name in ("u", "v"):
        tensor = before[name].const_value
        assert tensor is not None
        np.testing.assert_array_equal(found[name] == 0, tensor.numpy() == 0)
    assert np.all(found["b"] != 0)


def test_only_what_is_named_is_trained() -> None:
    found = train_block(block(), ["b"], pairs(32), pairs(8), 0)
    assert list(found) == ["b"]
    held = pairs(8)
    assert error(constants(block(), found), held) < error(block(), held)


def test_a_block_that_gets_no_better_stays() -> None:
    exact = [Pair(pair.taken, {"y": run(block(), pair.taken["x"])}) for pair in pairs(8)]
    assert train_block(block(), ["u", "v", "b"], pairs(4), exact, 0) == {}


def test_outputs_that_are_zero() -> None:
    zeros = [Pair(pair.taken, {"y": np.zeros((1, 8), np.float32)}) for pair in pairs(8)]
    found = train_block(block(), ["u", "v", "b"], zeros, zeros, 0)
    sizes = [
        np.square([run(model, pair.taken["x"]) for pair in zeros]).mean()
        for model in (constants(block(), found), block())
    ]
    assert sizes[0] < 0.9 * sizes[1]


def test_an_operator_that_torch_does_not_have() -> None:
    model = parse("g (float[1,8] x) => (float[1,8] y) { a = MatMul(x,u) y = Bernoulli(a) }", {"u": (8, 8)})
    with pytest.raises(UnsupportedModelError, match="GP130"):
        train_block(model, ["u"], pairs(2), pairs(2), 0)
