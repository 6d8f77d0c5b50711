"""The layers that read channels that go."""

from __future__ import annotations

import numpy as np

import graphprune as gp
from graphprune.analysis.weights import linear_weights
from graphprune.calibration.readers import KeptInputs, give_biases, plan_layers
from graphprune.planning.channels.options import ChannelOptions
from tests.calibration.channel_models import CASES, TWO, TWO_WEIGHTS, made, rows, run

FLATTENED = CASES["Flatten"]


def listed(ignore: tuple[str, ...] = (), **indices: tuple[int, ...]) -> gp.Recipe:
    return gp.Recipe(sparsity=0.1, pattern="channel", channels=ChannelOptions(indices=indices), ignore=ignore)


def test_inputs_that_stay() -> None:
    model = made(*FLATTENED[:2])
    weights = {weight.name: weight for weight in linear_weights(model)[0]}
    plan = gp.plan(model, listed(u=(0, 5)))
    kept = KeptInputs.of(model, plan, {"v"})
    gone = [*range(16), *range(80, 96)]  # 16 positions of each channel
    assert np.flatnonzero(~kept.mask(weights["v"]).all(axis=1)).tolist() == gone
    assert not kept.mask(weights["v"])[gone].any()
    assert kept.mask(weights["u"]).all()
    assert not KeptInputs.of(model, plan, {"u"}).gone


def test_zeros_stay_zeros() -> None:
    values = np.where(np.arange(72).reshape(6, 12) % 3 == 0, 0, 1).astype(np.float32)
    model = made("g (float[n,6] x) => (float[n,12] y) { y = MatMul(x,u) }", {"u": values})
    np.testing.assert_array_equal(KeptInputs({}).mask(linear_weights(model)[0][0]), values != 0)


def test_what_is_left_alone_is_planned_only_where_asked_for() -> None:
    model = made(TWO, TWO_WEIGHTS)
    kept = KeptInputs.of(model, gp.plan(model, listed(("v",), u=(1, 2, 3))), {"v", "w"})
    some, every = (plan_layers(model, kept, everything=everything) for everything in (False, True))
    assert [each.name for each in some.weights] == ["v"]
    assert [each.name for each in every.weights] == ["u", "v", "w"]


def test_biases_of_zeros() -> None:
    model, feeds = made(TWO, TWO_WEIGHTS), [{"x": rows(5, 8)}]
    before = run(model, feeds, "y")
    give_biases(model, {"u", "v"})
    assert [node.op_type for node in model.graph] == ["Gemm", "Relu", "MatMul", "Add", "Tanh", "MatMul"]
    np.testing.assert_allclose(run(model, feeds, "y"), before, rtol=1e-6)
