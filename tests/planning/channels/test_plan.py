"""Plans of channels: what contradicts itself, and what does not fit a model."""

from __future__ import annotations

from typing import Any

import pytest

from graphprune.errors import RecipeError
from graphprune.planning.channels.plan import ChannelPlan, resolve_channels
from tests.weighted import inferred_model

MODEL = """main (float[N,4] x, float[4,6] w1, float[6,3] w2) => (float[N,3] y) {
  h = MatMul (x, w1)
  a = Relu (h)
  y = MatMul (a, w2)
}"""


def test_the_count_is_written_to_be_read() -> None:
    made = ChannelPlan(group="w1", size=6, sparsity=0.5)
    assert made.model_dump()["pruned"] == 3
    assert ChannelPlan(**made.model_dump()) == made


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"pruned": 2}, r"2 channels pruned, but sparsity 0.5 makes 3; edit the sparsity.*GP325"),
    ({"sparsity": 0.95}, r"would be left empty: all 6 channels would go at sparsity 0.95 \[GP322\]"),
    ({"channels": (0, 1, 6)}, r"lists channel 6, expected 0 to 5 \[GP325\]"),
    ({"channels": (0, 1, 1)}, r"lists a channel twice \[GP325\]"),
    ({"channels": (0, 1)}, r"lists 2 channels, sparsity 0.5 makes 3 \[GP325\]"),
    ({"criterion": "taste"}, r"unknown criterion of channels 'taste', expected one of 'l2', .*GP327"),
]


def made(**keys: Any) -> ChannelPlan:  # noqa: ANN401 - keys of a plan
    every: dict[str, Any] = {"group": "w1", "size": 6, "sparsity": 0.5} | keys
    return ChannelPlan(**every)


@pytest.mark.parametrize(("keys", "message"), WRONG)
def test_a_contradiction_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        made(**keys)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"group": "w11"}, r"the model has no channel group 'w11', did you mean 'w1' \[GP324\]"),
        ({"size": 8}, r"group 'w1' has 6 channels in the model, expected 8 \[GP324\]"),
    ],
)
def test_a_plan_for_another_model_is_refused(keys: dict[str, Any], message: str) -> None:
    plan = made(**keys)
    with pytest.raises(RecipeError, match=message):
        resolve_channels((plan,), inferred_model(MODEL))


def test_a_group_that_is_not_zero_where_it_is_read_is_refused() -> None:
    model = inferred_model(MODEL.replace("Relu", "Sigmoid"))
    with pytest.raises(RecipeError, match=r"group 'w1': a masked channel is 0.5 .*GP379"):
        resolve_channels((ChannelPlan(group="w1", size=6, sparsity=0.5),), model)
