"""Biases take what outputs lose with channels that go by samples."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.calibration.channels import prune_channels
from graphprune.passes.base import run_pass
from graphprune.passes.fold_channels import FoldChannels
from graphprune.planning.recipe import Rule
from tests.backends.tvm.graphs import Initializer
from tests.calibration.channel_models import (
    CASES,
    TWO,
    TWO_WEIGHTS,
    assert_same_mean,
    chosen,
    constant,
    made,
    recipe,
    rows,
    run,
)


@pytest.mark.parametrize(("text", "given", "shape"), CASES.values(), ids=CASES)
def test_biases_take_the_means(text: str, given: dict[str, Initializer], shape: tuple[int, ...]) -> None:
    model, feeds = made(text, given), [{"x": rows(*shape)}]
    result = prune_channels(model, recipe(), feeds)
    assert not result.skips
    assert [len(each or ()) for each in chosen(result).values()] == [result.plan.channels[0].size // 2]
    assert_same_mean(model, result.model, feeds, "y")
    folded = run_pass(FoldChannels(), result.model).model
    assert 2 * constant(folded, "u").size == constant(model, "u").size
    expected = run(result.model, feeds, "y")
    np.testing.assert_allclose(run(folded, feeds, "y"), expected, atol=1e-5 * np.abs(expected).max())


def test_biases_of_channels_that_go_stay_zero() -> None:
    model, feeds = made(TWO, TWO_WEIGHTS), [{"x": rows(100, 8)}]
    result = prune_channels(model, recipe(0.5, scope="layer"), feeds)
    folded = run_pass(FoldChannels(), result.model).model
    assert [constant(folded, name).shape for name in ("u", "b", "v", "w")] == [(8, 6), (6,), (6, 10), (10, 6)]
    np.testing.assert_allclose(run(folded, feeds, "y"), run(result.model, feeds, "y"), atol=1e-4)


def test_layers_whose_biases_cannot_be_shifted() -> None:
    text = """g (float[n,8] x, float[6] t) => (float[n,6] y, float[6,n] z) {
        a = MatMul(x,u) k = Relu(t) y = Gemm(a,v,k) c = Transpose<perm=[1,0]>(a) z = MatMul(w,c) }"""
    model = made(text, {"u": (8, 12), "v": (12, 6), "w": (6, 12)})
    feeds = [{"x": rows(40, 8), "t": np.ones(6, np.float32)}]
    result = prune_channels(model, recipe(), feeds)
    assert [(skip.code, skip.node) for skip in result.skips] == [("GP319", "v"), ("GP319", "w")]
    assert "(Gemm) has no bias of float32 that could be shifted" in result.skips[0].reason
    halves: dict[str, Initializer] = {
        name: np.random.default_rng(1).standard_normal(shape).astype(np.float16)
        for name, shape in (("u", (8, 12)), ("v", (12, 6)))
    }
    half = made("g (float16[n,8] x) => (float16[n,6] y) { a = MatMul(x,u) y = MatMul(a,v) }", halves)
    found = prune_channels(half, recipe(), [{"x": rows(40, 8).astype(np.float16)}])
    assert [(skip.code, skip.node) for skip in found.skips] == [("GP319", "v")]


def test_layers_that_lose_nothing_are_left_alone() -> None:
    model, feeds = made(TWO, TWO_WEIGHTS), [{"x": rows(100, 8)}]
    result = prune_channels(model, recipe(0.5, rules=(Rule(targets=("v",), sparsity=0.0),)), feeds)
    assert chosen(result)["v"] == ()
    assert [node.op_type for node in result.model.graph] == ["Gemm", "Relu", "MatMul", "Add", "Tanh", "MatMul"]
