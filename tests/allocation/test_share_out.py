"""Plans for a share of zeros in all, or for a time."""

from __future__ import annotations

import math

import onnx_ir as ir
import pytest

import graphprune as gp
from graphprune.allocation import times
from graphprune.analysis.sparsity import weight_counts
from graphprune.errors import InputError, RecipeError
from graphprune.planning.pruning_plan import PruningPlan
from tests.allocation.network import feeds, network

RECIPE = gp.Recipe(sparsity=0.6, criterion="wanda", scope="global")


@pytest.fixture(autouse=True)
def _made_up_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """A millisecond for what is not zero of each weight, and one for the rest."""

    def node_times(model: ir.Model, *_: object) -> dict[str, float]:
        counts = weight_counts(model)
        names = {"one": "u", "two": "v", "three": "w"}
        return {"": 1.0} | {node: 1 - counts[name].zeros / counts[name].elements for node, name in names.items()}

    monkeypatch.setattr(times, "_node_times", node_times)


def allocated(recipe: gp.Recipe = RECIPE, bounds: dict[str, float] | None = None) -> PruningPlan:
    return gp.allocate(network(), recipe, feeds(), **(bounds or {}))  # type: ignore[arg-type] # names of options


def expected_ms(plan: PruningPlan) -> float:
    return 4 - sum(each.pruned / math.prod(each.shape) for each in plan.weights)


def test_a_share_of_all_weights() -> None:
    plan = allocated()
    zeros = {each.name: each.pruned for each in plan.weights}
    assert 0.6 <= sum(zeros.values()) / (384 + 576 + 192) < 0.63
    assert zeros["v"] > 0.8 * 576  # it adds little to the outputs
    assert {each.criterion for each in plan.weights} == {"wanda"}


def test_it_costs_the_outputs_less_than_the_same_share_in_each() -> None:
    def error(plan: PruningPlan) -> float:
        found = gp.prune(network(), plan, feeds()).model
        metric = gp.verify(network(), found, samples=feeds())
        return metric.outputs[0].difference.max_abs_error

    assert error(allocated()) < 0.8 * error(gp.plan(network(), RECIPE.model_copy(update={"scope": "layer"})))


@pytest.mark.parametrize("bound", [{"latency_ms": 2.5}, {"speedup": 1.6}])
def test_a_time(bound: dict[str, float]) -> None:
    found = allocated(RECIPE, bound)
    assert 2.3 < expected_ms(found) <= 2.5
    assert allocated(gp.Recipe(criterion="wanda", scope="layer"), bound) == found


def test_a_pattern_that_fixes_the_share_goes_where_it_costs_the_least() -> None:
    plan = allocated(gp.Recipe(criterion="wanda", pattern="1:4"), {"latency_ms": 3.3})
    assert {each.name: each.sparsity for each in plan.weights} == {"v": 0.75}


@pytest.mark.parametrize(
    "bounds",
    [{"latency_ms": 1.0, "speedup": 2.0}, {"latency_ms": 0.0}, {"speedup": math.inf}, {"latency_ms": math.nan}],
)
def test_bounds_of_no_use_are_refused(bounds: dict[str, float]) -> None:
    with pytest.raises(InputError) as caught:
        allocated(RECIPE, bounds)
    assert caught.value.code == "GP647"


def test_channels_are_refused() -> None:
    with pytest.raises(RecipeError) as caught:
        allocated(gp.Recipe(sparsity=0.5, pattern="channel"))
    assert caught.value.code == "GP587"


def test_a_time_that_cannot_be_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"takes 1\.15 ms with the most zeros") as caught:
        allocated(RECIPE, {"speedup": 4})
    assert caught.value.code == "GP641"
