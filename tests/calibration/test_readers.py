"""The layers that read channels that go."""

from __future__ import annotations

import numpy as np

import graphprune as gp
from graphprune.calibration.readers import give_biases, kept_inputs, plan_layers
from graphprune.planning.channels.options import ChannelOptions
from tests.calibration.channel_models import CASES, TWO, TWO_WEIGHTS, made, rows, run

FLATTENED = CASES["Flatten"]


def listed(ignore: tuple[str, ...] = (), **indices: tuple[int, ...]) -> gp.Recipe:
    return gp.Recipe(sparsity=0.1, pattern="channel", channels=ChannelOptions(indices=indices), ignore=ignore)


def test_inputs_that_stay() -> None:
    model = made(*FLATTENED[:2])
    plan = gp.plan(model, listed(u=(0, 5)))
    kept = kept_inputs(model, plan, {"v"})
    assert list(kept) == ["v"]
    gone = [*range(16), *range(80, 96)]  # 16 positions of each channel
    assert np.flatnonzero(~kept["v"].all(axis=1)).tolist() == gone
    assert not kept["v"][gone].any()
    assert kept_inputs(model, plan, {"u"}) == {}


def test_what_is_left_alone_is_planned_with_all_of_its_weights_only_where_asked_for() -> None:
    model = made(TWO, TWO_WEIGHTS)
    kept = kept_inputs(model, gp.plan(model, listed(("v",), u=(1, 2, 3))), {"v", "w"})
    some, every = (plan_layers(model, kept, everything=everything) for everything in (False, True))
    assert {each.name: each.sparsity for each in some.weights} == {"v": 0.25}
    assert {each.name: each.sparsity for each in every.weights} == {"u": 0, "v": 0.25, "w": 0}


def test_biases_of_zeros() -> None:
    model, feeds = made(TWO, TWO_WEIGHTS), [{"x": rows(5, 8)}]
    before = run(model, feeds, "y")
    give_biases(model, {"u", "v"})
    assert [node.op_type for node in model.graph] == ["Gemm", "Relu", "MatMul", "Add", "Tanh", "MatMul"]
    np.testing.assert_allclose(run(model, feeds, "y"), before, rtol=1e-6)
