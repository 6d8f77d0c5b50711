"""Which nodes stay in float32 for an error that may not be exceeded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

import graphprune as gp
from graphprune.calibration.budget import fewest, rank_by_damage
from graphprune.errors import InputError
from tests.backends.tvm.graphs import Initializer, parse

TEXT = """g (float[n,8] x) => (float[n,8] y) {
    [fine] a = MatMul(x,u) b = Tanh(a)
    [coarse] c = MatMul(b,v) d = Tanh(c)
    [good] y = MatMul(d,w) }"""
RNG = np.random.default_rng(0)
EVEN = RNG.choice(np.array([-0.5, 0.5], np.float32), (8, 8))
"""Integers of 8 bits hold it exactly."""

SPREAD = np.where(np.arange(8)[:, None] == 0, 0.0, RNG.standard_normal((8, 8)) / 3).astype(np.float32)
SPREAD[0] = 100
"""One large element an output leaves the others few integers; what it is multiplied by is zero."""

WEIGHTS: dict[str, Initializer] = {"u": np.where(np.arange(8) == 0, 0, EVEN).astype(np.float32), "v": SPREAD, "w": EVEN}
SAMPLES = [{"x": RNG.standard_normal((64, 8)).astype(np.float32)}]


def kept(result: gp.QuantizeResult) -> list[str]:
    return [skip.node for skip in result.skips]


def test_what_adds_the_most_error_stays() -> None:
    model = parse(TEXT, WEIGHTS)
    loose = gp.quantize(model, SAMPLES)
    assert loose.errors["y"] > 0.1
    ranked = rank_by_damage(model, loose.model, ["fine", "coarse", "good"], SAMPLES)
    assert ranked[0] == "coarse"
    result = gp.quantize(model, SAMPLES, max_error=0.05)
    assert kept(result) == ["coarse"]
    assert 0 < result.errors["y"] <= 0.05


def test_a_relu_that_is_gone_adds_no_error() -> None:
    """What is called as its output is that of the convolution, until it becomes integers."""
    text = """g (float[n,8] x) => (float[n,8] y) { s = Reshape(x,shape) [fine] a = Conv(s,u) [clip] b = Relu(a)
        c = Flatten(b) [coarse] d = MatMul(c,v) [good] e = MatMul(d,w) y = Tanh(e) }"""
    weights = WEIGHTS | {"u": np.asarray(WEIGHTS["u"]).T.reshape(8, 8, 1, 1), "shape": np.array([-1, 8, 1, 1])}
    model = parse(text, weights)
    loose = gp.quantize(model, SAMPLES)
    names = [each.node for each in loose.rewrites]
    assert "clip" in names
    assert rank_by_damage(model, loose.model, names, SAMPLES)[0] == "coarse"


def test_as_few_as_it_takes() -> None:
    model = parse(TEXT, WEIGHTS)
    assert kept(gp.quantize(model, SAMPLES, max_error=10)) == []
    everything = gp.quantize(model, SAMPLES, max_error=0)
    assert sorted(kept(everything)) == ["coarse", "fine", "good"]
    assert everything.errors == {"y": 0.0}


def test_nodes_that_are_kept_anyway_stay() -> None:
    result = gp.quantize(parse(TEXT, WEIGHTS), SAMPLES, keep=["good"], max_error=0.05)
    assert sorted(map(str, result.skips)) == [
        "coarse: adds more error than the outputs may have [GP392]",
        "good: stays as it is, as asked for [GP392]",
    ]


@pytest.mark.parametrize("wanted", range(6))
def test_the_fewest_are_found_by_halving(wanted: int) -> None:
    asked: list[int] = []

    def suffices(chosen: Sequence[str]) -> bool:
        asked.append(len(chosen))
        return len(chosen) >= wanted

    assert fewest("abcde", suffices) == "abcde"[:wanted]
    assert len(asked) <= 3


@pytest.mark.parametrize("limit", [-0.1, float("nan"), float("inf")])
def test_a_budget_is_a_share(limit: float) -> None:
    with pytest.raises(InputError, match=r"max_error is .*, expected a share such as 0.01 \[GP579\]"):
        gp.quantize(parse(TEXT, WEIGHTS), SAMPLES, max_error=limit)
