"""Whole channels set to zero: exact counts, all carriers, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.analysis.channels.values import channel_values, constant_values, read
from graphprune.errors import RecipeError
from graphprune.passes.base import run_pass
from graphprune.passes.prune_channels import PruneChannels
from graphprune.passes.registry import parse_pass
from graphprune.planning.channels.options import ChannelOptions
from graphprune.planning.channels.plan import ChannelPlan
from graphprune.planning.channels.planner import prunable_groups
from graphprune.planning.planner import plan
from graphprune.planning.pruning_plan import PruningPlan
from graphprune.planning.recipe import Recipe
from graphprune.stages.stage import Stage, get_stage
from graphprune.testing import models
from graphprune.testing.check_pass import check_pass
from tests.planning.channels.channel_model import MODEL
from tests.weighted import inferred_model, weight_of


def pruning(model: ir.Model, sparsity: float | None = 0.5, **options: Any) -> PruneChannels:  # noqa: ANN401
    recipe = Recipe(sparsity=sparsity, pattern="channel", channels=ChannelOptions(**options))
    return PruneChannels(plan(model, recipe))


def zero_channels(model: ir.Model) -> dict[str, int]:
    """How many channels of each group are zero in all that makes or carries them."""
    values, found = constant_values(model), {}
    for group in prunable_groups(model)[0]:
        slices = (*group.producers, *group.carriers)
        rows = np.concatenate([channel_values(each, read(values[each.name])) for each in slices], axis=1)
        found[group.name] = int((rows == 0).all(axis=1).sum())
    return found


def test_the_weakest_channels_go_with_all_that_carries_them() -> None:
    model = inferred_model(MODEL)
    result = check_pass(pruning(model), model)
    assert get_stage(result.model) is Stage.SPARSE
    norms = np.linalg.norm(weight_of(model, "w1").reshape(16, -1), axis=1)
    gone = np.sort(np.argsort(norms)[:8])
    for name in ("w1", "w_scale", "w_shift"):
        assert (
            np.flatnonzero((weight_of(result.model, name).reshape(16, -1) == 0).all(axis=1)).tolist() == gone.tolist()
        )
    for name in ("w_mean", "w_var", "w3"):
        assert weight_of(result.model, name).tobytes() == weight_of(model, name).tobytes()
    assert result.rewrites[0].detail == "8 of 16 channels of one weight set to zero (50.0%)"


def test_listed_channels_go() -> None:
    model = inferred_model(MODEL)
    result = check_pass(pruning(model, None, indices={"conv2": (1, 7)}), model)
    assert np.flatnonzero(weight_of(result.model, "w_b2") == 0).tolist() == [1, 7]


@pytest.mark.parametrize("name", ["resnet_tiny", "mobilenet_tiny", "bert_tiny", "vit_tiny"])
@pytest.mark.parametrize("criterion", ["l2", "l1", "random"])
def test_real_models(name: str, criterion: str) -> None:
    model = models.build(name)
    pass_ = pruning(model, 0.5, criterion=criterion)
    pruned = run_pass(pass_, model).model
    assert zero_channels(pruned) == {each.group: each.pruned for each in pass_.plan.channels}


def test_what_is_zero_already_is_said() -> None:
    model = inferred_model(MODEL)
    pass_ = pruning(model)
    again = run_pass(pass_, run_pass(pass_, model).model)
    assert not again.changed
    assert [(skip.code, skip.node) for skip in again.skips] == [("GP335", "w1"), ("GP335", "w2")]


def test_its_text_form_gives_it_back() -> None:
    pass_ = pruning(inferred_model(MODEL), None, indices={"conv2": (1, 7)})
    assert parse_pass(str(pass_)) == pass_


def test_a_plan_for_another_model_is_refused() -> None:
    model = inferred_model(MODEL)
    entry = ChannelPlan(group="w1", size=16, sparsity=0.5)
    with pytest.raises(RecipeError, match=r"made for model .*GP324"):
        run_pass(PruneChannels(PruningPlan(model="0" * 16, channels=(entry,))), model)


def test_nan_is_refused_and_nothing_changes() -> None:
    model = inferred_model(MODEL, {"w2": np.full((24, 16, 3, 3), np.nan, np.float32)})
    with pytest.raises(RecipeError, match=r"group 'w2' holds NaN.*GP323"):
        run_pass(pruning(model), model)
    assert np.count_nonzero(weight_of(model, "w1")) == weight_of(model, "w1").size
