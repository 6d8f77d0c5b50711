"""How many channels go: shares of channels, of parameters and of MACs; rounding, lists, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.analysis.channels.cost import ChannelCost
from graphprune.errors import RecipeError
from graphprune.planning.channels.budgets import solve_counts
from graphprune.planning.channels.options import ChannelOptions
from graphprune.planning.channels.planner import prunable_groups
from graphprune.planning.planner import plan
from graphprune.planning.recipe import Recipe, Rule
from graphprune.testing import models
from tests.planning.channels.channel_model import MODEL
from tests.weighted import inferred_model


def planned(model: ir.Model | None = None, sparsity: float | None = 0.5, **keys: Any) -> dict[str, int]:  # noqa: ANN401
    options = {key: keys.pop(key) for key in set(keys) & set(ChannelOptions.model_fields)}
    recipe = Recipe(sparsity=sparsity, pattern="channel", channels=ChannelOptions(**options), **keys)
    return {each.group: each.pruned for each in plan(model or inferred_model(MODEL), recipe).channels}


def test_a_share_of_each_group() -> None:
    assert planned(sparsity=0.25) == {"w1": 4, "w2": 6}


def test_one_threshold_for_all() -> None:
    weights = {"w1": np.full((16, 3, 3, 3), 2, np.float32), "w2": np.ones((24, 16, 3, 3), np.float32)}
    found = planned(inferred_model(MODEL, weights), scope="global", sparsity=0.5)
    assert found == {"w1": 0, "w2": 20}


def test_what_stays_is_rounded_up_to_whole_vectors() -> None:
    assert planned(round_to=8) == {"w1": 8, "w2": 8}
    assert planned(sparsity=0.6, round_to=8, min_kept=15) == {"w1": 0, "w2": 8}
    assert planned(sparsity=0.99, round_to=16) == {"w1": 0, "w2": 8}
    assert planned(min_kept=15) == {"w1": 1, "w2": 9}


def test_heads_are_rounded_by_their_rows() -> None:
    (attention, *_) = planned(models.build("bert_tiny"), round_to=32).values()
    assert attention == 2  # heads of 16 rows: two make 32


def test_rules_have_their_own_share() -> None:
    rules = (Rule(targets=("conv2",), sparsity=0.75),)
    assert planned(sparsity=0.25, rules=rules) == {"w1": 4, "w2": 18}
    assert planned(sparsity=None, rules=rules) == {"w1": 0, "w2": 18}


@pytest.mark.parametrize("ignore", ["w1", "conv1", "re:.*1"])
def test_ignored_groups_stay(ignore: str) -> None:
    assert planned(ignore=(ignore,)) == {"w2": 12}


def test_listed_channels_go_whatever_their_score() -> None:
    model = inferred_model(MODEL)
    recipe = Recipe(pattern="channel", channels=ChannelOptions(indices={"conv1": (3, 0), "w2": (5,)}))
    found = {each.group: each.channels for each in plan(model, recipe).channels if each.channels}
    assert found == {"w1": (0, 3), "w2": (5,)}


def counts_at(model: ir.Model, level: float, scope: str) -> list[int]:
    try:
        return list(planned(model, level, scope=scope).values())
    except RecipeError:  # so few that none would go
        return [0, 0]


@settings(deadline=None, max_examples=12)
@given(st.floats(0.02, 0.8), st.sampled_from(["parameters", "macs"]), st.sampled_from(["layer", "global"]))
def test_a_share_of_the_model_is_reached_by_the_fewest_channels(share: float, what: str, scope: str) -> None:
    model = inferred_model(MODEL)
    counts = list(planned(model, share, share_of=what, scope=scope).values())
    cost = ChannelCost.of(model, prunable_groups(model)[0])
    measure = cost.macs if what == "macs" else cost.parameters

    def removed(gone: list[int]) -> float:
        return 1 - measure(gone) / measure([0, 0])

    assert removed(counts) >= share
    others = [counts_at(model, level, scope) for level in np.linspace(0, 0.99, 25)]
    assert all(sum(other) >= sum(counts) for other in others if removed(other) >= share)


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.6])
@pytest.mark.parametrize("what", ["parameters", "macs"])
def test_a_share_is_met_closely_though_whole_heads_go(share: float, what: str, scope: str) -> None:
    """A head of a layer is 8% of the work here; if those of all layers went at once, 17%."""
    model = models.build("bert_tiny")
    groups = prunable_groups(model)[0]
    counts = planned(model, share, share_of=what, scope=scope)
    cost = ChannelCost.of(model, groups)
    measure = cost.macs if what == "macs" else cost.parameters
    gone = 1 - measure([counts[group.name] for group in groups]) / measure([0] * len(groups))
    assert share <= gone < share + 0.015


def test_steps_are_taken_one_group_at_a_time_and_the_others_give_less() -> None:
    weights = {"a": 10, "b": 7, "c": 1}

    def counts_at(level: float) -> dict[str, int]:
        return {"a": round(2 * level), "b": round(2 * level), "c": round(20 * level)}

    def removed(counts: dict[str, int]) -> float:
        return sum(weights[name] * count for name, count in counts.items())

    found = {wanted: removed(solve_counts(counts_at, removed, wanted, "weight")) for wanted in range(1, 54)}
    assert all(wanted <= got <= wanted + 6 for wanted, got in found.items()), found
    assert solve_counts(counts_at, removed, 13, "weight")["c"] == 3


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"ignore": ("conv9",)}, r"ignore: 'conv9' matches nothing, did you mean 'conv.' \[GP321\]"),
    ({"targets": ("w3",)}, r"targets: 'w3' matches only channels that stay: w3: .*GP370.*\[GP321\]"),
    ({"share_of": "macs", "sparsity": 0.999}, r".*% of all macs can go at most, 99.9% are asked for \[GP339\]"),
    ({"indices": {"conv1": (16,)}}, r"index 16 is no prunable channel, expected one of 0 to 15 \[GP338\]"),
    ({"indices": {"conv1": (2, 2)}}, r"indices of 'conv1': an index is listed twice \[GP338\]"),
    ({"indices": {"head": (0,)}}, r"indices: 'head' is nothing.* \[GP338\]"),
    ({"indices": {"conv1": tuple(range(16))}}, r"group 'w1' would be left empty: all 16 channels are listed \[GP322\]"),
    ({"criterion": "batch-norm", "scope": "global"}, r"group 'w2': criterion batch-norm needs .* \[GP338\]"),
    ({"sparsity": 0.01}, r"nothing to prune: no channel of 2 groups would go \[GP326\]"),
]


@pytest.mark.parametrize(("keys", "message"), WRONG)
def test_what_is_wrong_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        planned(**keys)


def test_nan_cannot_be_ranked() -> None:
    model = inferred_model(MODEL, {"w1": np.full((16, 3, 3, 3), np.nan, np.float32)})
    with pytest.raises(RecipeError, match=r"group 'w1' holds NaN .*GP323"):
        planned(model, scope="global")


def test_channels_that_are_not_zero_where_they_are_read_stay() -> None:
    model = inferred_model(MODEL.replace("e = Relu (d)", "e = Sigmoid (d)"))
    assert planned(model) == {"w1": 8}
    assert [skip.code for skip in prunable_groups(model)[1]] == ["GP370", "GP379"]
