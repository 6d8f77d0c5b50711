"""Models on integers, from samples, in Python."""

from __future__ import annotations

import numpy as np
import pytest

import graphprune as gp
from graphprune.errors import InputError, PreconditionError
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from tests.backends.tvm.graphs import Initializer, parse, pruned

TEXT = "g (float[{0},6] x, float[{1},6] z) => (float[?,5] y) {{ s = Add(x,z) [product] y = MatMul(s,w) }}"
WEIGHT: dict[str, Initializer] = {"w": pruned(6, 5)}
STACK = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)


@pytest.mark.parametrize(
    ("extents", "samples"),
    [(("n", "n"), 4), (("?", "?"), 4), (("1", "1"), 4), (("n", "m"), 1), (("4", "4"), 1)],
    ids=["an open batch", "without a name", "stacked", "two extents that are open", "one sample of four rows"],
)
def test_samples_one_by_one(extents: tuple[str, str], samples: int) -> None:
    seen: list[int] = []
    model = parse(TEXT.format(*extents), WEIGHT)
    result = gp.quantize(model, [{"x": STACK, "z": STACK / 2}], on_sample=seen.append)
    assert (result.samples, seen) == (samples, list(range(1, samples + 1)))
    assert 0 < result.errors["y"] < 0.02


def test_as_many_samples_as_asked_for() -> None:
    model = parse(TEXT.format("n", "n"), WEIGHT)
    assert gp.quantize(model, [{"x": STACK, "z": STACK}] * 3, most_samples=5).samples == 5


def test_the_model_stays_as_it_was() -> None:
    model = parse(TEXT.format("n", "n"), WEIGHT)
    before = [node.op_type for node in model.graph]
    result = gp.quantize(model, [{"x": STACK, "z": STACK}])
    assert [node.op_type for node in model.graph] == before
    assert [node.op_type for node in result.model.graph].count("QuantizeLinear") == 2


def test_all_in_float32_is_no_error() -> None:
    result = gp.quantize(parse(TEXT.format("n", "n"), WEIGHT), [{"x": STACK, "z": STACK}], keep=["product"])
    assert result.errors == {"y": 0.0}
    assert [str(skip) for skip in result.skips] == ["product: stays as it is, as asked for [GP392]"]


def test_outputs_that_are_no_numbers_have_no_error() -> None:
    text = "g (float[n,6] x, float[n,6] z) => (float[n,5] y, bool[n,5] b) { y = MatMul(x,w) b = Greater(y,y) }"
    result = gp.quantize(parse(text, WEIGHT), [{"x": STACK, "z": STACK[:1].repeat(4, 0)}])
    assert list(result.errors) == ["y"]


def test_unnamed_extents_that_differ_are_one_sample() -> None:
    text = """g (float[?,6] x, float[?,6] z) => (float[?,5] y) {
        s = ReduceSum<keepdims=1>(z,a) t = Add(x,s) y = MatMul(t,w) }"""
    model = parse(text, WEIGHT | {"a": np.array([0])})
    assert gp.quantize(model, [{"x": STACK, "z": STACK[:3]}]).samples == 1


def test_no_samples() -> None:
    with pytest.raises(InputError, match=r"hold no sample, expected at least one \[GP567\]"):
        gp.quantize(parse(TEXT.format("n", "n"), WEIGHT), [])


def test_packed_models_are_refused() -> None:
    model = run_pass(PackWeights(), parse(TEXT.format("n", "n"), WEIGHT)).model
    with pytest.raises(PreconditionError, match=r"stage packed, expected dense or sparse \[GP255\]"):
        gp.quantize(model, [{"x": STACK, "z": STACK}])
