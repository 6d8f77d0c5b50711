"""The shares of zeros that a layer is tried at."""

from __future__ import annotations

import pytest

import graphprune as gp
from graphprune.allocation.levels import LEVELS, at_level, levels_of
from graphprune.errors import RecipeError
from graphprune.planning.pruning_plan import WeightPlan
from tests.allocation.network import network, plan_of


def test_zeros_anywhere_have_all_levels() -> None:
    assert levels_of(plan_of(network())) == LEVELS
    assert LEVELS[0] == 0


def test_a_pattern_that_fixes_the_share_has_two() -> None:
    plan = plan_of(network(), pattern="1:4", sparsity=None)
    assert levels_of(plan) == (0.0, 0.75)
    assert at_level(plan.weights[0], 0.75) == plan.weights[0]


def test_several_patterns_are_refused() -> None:
    rule = gp.Recipe(rules=(
        {"targets": "u", "pattern": "2:4"}, {"targets": "v", "sparsity": 0.5},
    ))  # type: ignore[arg-type] # fmt: skip
    with pytest.raises(RecipeError, match="the plan has '2:4', 'unstructured'") as caught:
        levels_of(gp.plan(network(), rule))
    assert caught.value.code == "GP640"


@pytest.mark.parametrize("pattern", ["unstructured", "block 2x2", "2:4"])
def test_no_zeros_are_no_entry(pattern: str) -> None:
    plan = plan_of(network(), pattern=pattern, sparsity=None if ":" in pattern else 0.5)
    assert [at_level(each, 0.0) for each in plan.weights] == [None] * 3


def test_an_entry_at_a_level_has_its_zeros() -> None:
    planned = plan_of(network()).weights[0]
    found = at_level(planned, 0.9)
    assert found is not None
    assert (found.sparsity, found.pruned, found.criterion) == (0.9, round(0.9 * 24 * 16), "wanda")


def test_a_weight_that_would_lose_all_is_left_alone() -> None:
    planned = WeightPlan(
        name="w", shape=(4, 4), output_axis=0, input_axis=1, pattern="block 4x4", sparsity=0.0, criterion="magnitude"
    )
    assert at_level(planned, 0.9) is None
