"""What zeros in one layer cost the outputs, beside runs of the model with that layer pruned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.allocation.allocate import of_sparsity
from graphprune.allocation.damage import Damages, measure_damages
from graphprune.allocation.levels import LEVELS, at_level
from graphprune.analysis.constants import replace_constant
from graphprune.analysis.weights import linear_weights
from graphprune.backends.onnxruntime import session_for
from graphprune.calibration.prune import prune
from graphprune.calibration.ranges import Feed
from graphprune.errors import RecipeError
from graphprune.planning.pruning_plan import PruningPlan
from tests.allocation.network import feeds, network, plan_of
from tests.backends.tvm.graphs import parse


def output_error(model: ir.Model, pruned: ir.Model, samples: Sequence[Feed]) -> float:
    sides = [session_for(each, optimize=False) for each in (model, pruned)]
    one, two = (np.concatenate([side.run(None, feed)[0] for feed in samples]).astype(np.float64) for side in sides)
    return float(np.square(two - one).sum() / np.square(one).sum())


def alone(plan: PruningPlan, name: str, level: float) -> PruningPlan:
    entries = (at_level(each, level) for each in plan.weights if each.name == name)
    return plan.model_copy(update={"weights": tuple(entry for entry in entries if entry is not None)})


@pytest.fixture(scope="module")
def damages() -> Damages:
    return measure_damages(network(), plan_of(network()), feeds())


@pytest.mark.parametrize("name", ["u", "v", "w"])
def test_the_damage_at_the_reference_is_that_of_the_pruned_model(name: str, damages: Damages) -> None:
    samples = feeds()
    pruned = prune(network(), alone(plan_of(network()), name, 0.6), samples).model
    expected = output_error(network(), pruned, samples[:16])
    assert damages.weights[name][LEVELS.index(0.6)] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("level", [0.3, 0.8])
def test_other_levels_have_it_in_proportion_to_the_layers_own_error(level: float, damages: Damages) -> None:
    errors = {
        each: prune(network(), alone(plan_of(network()), "u", each), feeds()).layers[0].error for each in (0.6, level)
    }
    found = damages.weights["u"]
    ratio = found[LEVELS.index(level)] / found[LEVELS.index(0.6)]
    assert ratio == pytest.approx((errors[level] / errors[0.6]) ** 2, rel=1e-6)


def test_no_zeros_cost_nothing_and_more_cost_more(damages: Damages) -> None:
    for found in damages.weights.values():
        assert found[0] == 0
        assert list(found) == sorted(found)


def test_what_adds_little_to_the_output_costs_little(damages: Damages) -> None:
    at = LEVELS.index(0.8)
    assert damages.weights["v"][at] < 0.05 * min(damages.weights[name][at] for name in "uw")


def test_weights_that_samples_say_nothing_of_have_none() -> None:
    text = "g (float[1,8] x) => (float[1,8] y) { a = MatMul(x,u) b = MatMul(a,v) y = MatMul(b,v) }"
    model = parse(text, {"u": (8, 8), "v": (8, 8)})
    samples: list[Feed] = [{"x": feed["x"][:, :8]} for feed in feeds()]
    assert list(measure_damages(model, plan_of(model), samples).weights) == ["u"]


def test_layers_that_are_done_are_counted() -> None:
    seen: list[int] = []
    measure_damages(network(), plan_of(network()), feeds(), on_layer=seen.append)
    assert seen == [1, 2, 3]


def test_a_weight_of_zeros_costs_nothing() -> None:
    model = network()
    weight = next(each for each in linear_weights(model)[0] if each.name == "v")
    replace_constant(weight.value, np.zeros((24, 24), np.float32))
    assert measure_damages(model, plan_of(model), feeds()).weights["v"] == (0.0,) * len(LEVELS)


def test_shares_that_a_small_weight_does_not_have_are_never_chosen(tmp_path: Path) -> None:
    text = "g (float[1,16] x) => (float[1,4] y) { a = MatMul(x,u) c = Relu(a) y = MatMul(c,v) }"
    model = parse(text, {"u": (16, 8), "v": (8, 4)})
    plan = plan_of(model, scope="row")
    found = measure_damages(model, plan, feeds())
    assert [level for level, damage in zip(LEVELS, found.weights["v"], strict=True) if np.isinf(damage)] == [0.95]
    assert np.isfinite(found.weights["u"]).all()
    assert {each.name: each.sparsity for each in of_sparsity(plan, found, 0.93).weights} == {"u": 0.95, "v": 0.9}
    with pytest.raises(RecipeError, match=r"at most 94\.0% of the weights can go"):
        of_sparsity(plan, found, 0.945)
    found.save(tmp_path / "damages.json")
    assert Damages.load(tmp_path / "damages.json") == found
