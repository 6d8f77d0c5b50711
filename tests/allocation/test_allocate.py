"""Shares of zeros within a bound, beside all choices there are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.allocation.allocate import STEPS, choose, of_sparsity, within_time
from graphprune.allocation.damage import Damages
from graphprune.allocation.times import Times
from graphprune.errors import RecipeError
from graphprune.planning.pruning_plan import PruningPlan
from tests.allocation.network import network, plan_of

LEVELS = (0.0, 0.5, 0.8)
SIZES = {"u": 384, "v": 576, "w": 192}
DAMAGES = Damages(levels=LEVELS, weights={"u": (0, 0.01, 0.1), "v": (0, 1e-4, 1e-3), "w": (0, 0.2, 0.9)})
TIMES = Times(levels=LEVELS, weights={"u": (4, 2, 1), "v": (4, 5, 1), "w": (2, 1, 0.5)}, others=(0.5, 0.7, 0.6))


def shares(plan: PruningPlan) -> dict[str, float]:
    return {each.name: each.sparsity for each in plan.weights}


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), rows=st.integers(1, 4), columns=st.integers(1, 4), share=st.floats(0, 1.2))
def test_no_other_choice_within_the_bound_costs_less(seed: int, rows: int, columns: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    damages, costs = rng.random((rows, columns)) * 1e-3, rng.random((rows, columns)) - 0.2
    most = costs.min(axis=1).sum() + share * (costs.max(axis=1).sum() - costs.min(axis=1).sum()) - 0.05
    found = choose(damages, costs, most)
    every = itertools.product(range(columns), repeat=rows)
    sums = [(damages[range(rows), each].sum(), costs[range(rows), each].sum()) for each in every]
    if not any(cost <= most for _, cost in sums):
        assert found is None
        return
    assert found is not None
    assert costs[range(rows), found].sum() <= most + 1e-9
    rounded = rows * (most - costs.min(axis=1).sum()) / STEPS
    least = min((damage for damage, cost in sums if cost <= most - rounded), default=np.inf)
    assert damages[range(rows), found].sum() <= least


def test_many_layers_come_near_the_bound_that_a_relaxation_has() -> None:
    """By weak duality, no choice within the bound costs less than the least of damages plus a price times the costs."""
    rng = np.random.default_rng(0)
    damages = np.cumsum(rng.random((200, 9)) ** 3, axis=1) * rng.random((200, 1))
    costs = rng.random((200, 1)) * np.linspace(1, 0.1, 9)
    most = 0.5 * costs[:, 0].sum()
    found = choose(damages, costs, most)
    assert found is not None
    assert costs[range(200), found].sum() <= most
    prices = np.linspace(0, 20, 2001)
    bound = max(float((damages + price * costs).min(axis=1).sum() - price * most) for price in prices)
    assert damages[range(200), found].sum() < 1.02 * bound


def test_columns_of_infinite_damage_are_no_choice() -> None:
    damages, costs = np.array([[1.0, np.inf], [1.0, 2.0]]), np.array([[5.0, 1.0], [5.0, 3.0]])
    assert choose(damages, costs, 8.0) == [0, 1]
    assert choose(damages, costs, 7.9) is None


def test_zeros_go_where_they_cost_the_least_for_the_time() -> None:
    plan, expected_ms = within_time(plan_of(network()), DAMAGES, TIMES, 6.7)
    assert shares(plan) == {"u": 0.5, "v": 0.8}  # w would gain 1 ms at twenty times the damage
    assert expected_ms == pytest.approx(2 + 1 + 2 + 0.6)


def test_the_levels_in_between_are_left_out_where_they_gain_nothing() -> None:
    plan, expected_ms = within_time(plan_of(network()), DAMAGES, TIMES, 7.7)
    assert shares(plan) == {"v": 0.8}  # half of v costs less than 80%, and is slower than none
    assert expected_ms == pytest.approx(4 + 1 + 2 + 0.6)


def test_weights_of_unknown_damage_stay_dense() -> None:
    known = Damages(levels=LEVELS, weights={name: DAMAGES.weights[name] for name in ("u", "v")})
    plan, expected_ms = within_time(plan_of(network()), known, TIMES, 5.2)
    assert shares(plan) == {"u": 0.8, "v": 0.8}
    assert expected_ms == pytest.approx(1 + 1 + 2 + 0.6)


def test_a_time_that_cannot_be_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"takes 3\.1 ms with the most zeros, 3 ms were asked for") as caught:
        within_time(plan_of(network()), DAMAGES, TIMES, 3.0)
    assert caught.value.code == "GP641"
    assert within_time(plan_of(network()), DAMAGES, TIMES, 3.11)[1] == pytest.approx(3.1)


def test_a_time_that_needs_no_zeros_is_refused() -> None:
    with pytest.raises(RecipeError, match="no weight gets any zeros") as caught:
        within_time(plan_of(network()), DAMAGES, TIMES, 100.0)
    assert caught.value.code == "GP326"


@pytest.mark.parametrize("sparsity", [0.2, 0.5, 0.75])
def test_the_least_damage_for_a_share_of_zeros(sparsity: float) -> None:
    found = shares(of_sparsity(plan_of(network()), DAMAGES, sparsity))
    names = list(SIZES)

    def of(choice: tuple[int, ...]) -> tuple[float, float]:
        pairs = list(zip(names, choice, strict=True))
        return sum(DAMAGES.weights[n][c] for n, c in pairs), sum(SIZES[n] * LEVELS[c] for n, c in pairs)

    every = [of(choice) for choice in itertools.product(range(3), repeat=3)]
    least = min(damage for damage, zeros in every if zeros >= sparsity * sum(SIZES.values()))
    assert of(tuple(LEVELS.index(found.get(name, 0.0)) for name in names))[0] == pytest.approx(least)


def test_more_zeros_than_there_can_be_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"at most 80\.0% of the weights can go, 81\.0% were asked for") as caught:
        of_sparsity(plan_of(network()), DAMAGES, 0.81)
    assert caught.value.code == "GP641"


def test_times_of_a_whole_run() -> None:
    assert TIMES.rest == pytest.approx(0.6)
    assert TIMES.whole(0.5) == pytest.approx(0.6 + 2 + 5 + 1)
    assert TIMES.whole(0.6) == pytest.approx(0.6 + (2 * 8 + 2.5) / 3)
