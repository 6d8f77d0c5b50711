"""Plans as recipes."""

from __future__ import annotations

import graphprune as gp
from graphprune.allocation.allocate import within_time
from graphprune.allocation.recipe import as_recipe
from tests.allocation.network import network, plan_of
from tests.allocation.test_allocate import DAMAGES, TIMES


def test_the_recipe_makes_the_plan_again() -> None:
    plan, _ = within_time(plan_of(network(), criterion="sparsegpt"), DAMAGES, TIMES, 4.0)
    assert len({each.sparsity for each in plan.weights}) == 2
    assert gp.plan(network(), as_recipe(plan)) == plan
