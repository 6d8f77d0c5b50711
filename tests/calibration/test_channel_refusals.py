"""Channels that do not go by samples."""

from __future__ import annotations

import numpy as np
import pytest

import graphprune as gp
from graphprune.calibration.channels import prune_channels
from graphprune.errors import InputError, PreconditionError, RecipeError
from graphprune.stages.stage import Stage, set_stage
from tests.backends.tvm.graphs import Initializer
from tests.calibration.channel_models import (
    MLP,
    WEIGHTS,
    chosen,
    constant,
    made,
    recipe,
    rows,
)

UNSEEN: dict[str, tuple[str, dict[str, Initializer], str]] = {
    "shared": (
        "a = MatMul(x,u) y = MatMul(a,v) c = Tanh(a) z = MatMul(c,v)",
        {"u": (8, 12), "v": (12, 6)},
        "its channels are read by 'v', which is shared by 2 nodes, of which each multiplies something else [GP314]",
    ),
    "no weight": (
        "a = MatMul(x,u) c = MatMul(x,v) t = Transpose<perm=[0,2,1]>(c) y = MatMul(a,t) z = Identity(x)",
        {"u": (8, 12), "v": (8, 12)},
        "no layer multiplies its channels by a weight",
    ),
    "stacked": (
        "a = MatMul(x,u) y = MatMul(a,v) z = Identity(x)",
        {"u": (8, 12), "v": (2, 12, 6)},
        "its channels are read by 'v', which is no weight of a layer there",
    ),
}


@pytest.mark.parametrize(("body", "given", "reason"), UNSEEN.values(), ids=UNSEEN)
def test_groups_of_which_samples_say_nothing_stay(body: str, given: dict[str, Initializer], reason: str) -> None:
    outputs = "float[2,4,k] y, float[2,4,l] z, float[2,4,6] s"
    text = f"g (float[2,4,8] x) => ({outputs}) {{ {body} d = MatMul(x,p) s = MatMul(d,q) }}"
    model = made(text, given | {"p": (8, 10), "q": (10, 6)})
    feeds = [{"x": rows(2, 4, 8, seed=seed)} for seed in range(8)]
    result = prune_channels(model, recipe(), feeds)
    assert [(skip.code, skip.node, skip.reason) for skip in result.skips] == [("GP593", "u", reason)]
    assert list(chosen(result)) == ["p"]
    np.testing.assert_array_equal(constant(result.model, "u"), constant(model, "u"))
    with pytest.raises(RecipeError) as caught:
        prune_channels(model, recipe(ignore=("p",)), feeds)
    assert str(caught.value) == f"nothing to prune: u: {reason} [GP593] [GP326]"


WRONG = {
    "criterion": (gp.Recipe(sparsity=0.5, pattern="channel"), "the pattern is 'channel' and the criterion 'l2'"),
    "pattern": (gp.Recipe(sparsity=0.5, criterion="wanda"), "the pattern is 'unstructured' and the criterion 'wanda'"),
}


@pytest.mark.parametrize(("given", "what"), WRONG.values(), ids=WRONG)
def test_another_recipe(given: gp.Recipe, what: str) -> None:
    with pytest.raises(RecipeError) as caught:
        prune_channels(made(MLP, WEIGHTS), given, [{"x": rows(40, 8)}])
    assert str(caught.value) == f"prune_channels: {what}, expected 'channel' and 'flap' [GP592]"


def test_what_is_given_is_checked_first() -> None:
    model, feeds = made(MLP, WEIGHTS), [{"x": rows(40, 8)}]
    with pytest.raises(InputError, match=r"prune_channels.*\[GP536\]"):
        prune_channels("m.onnx", recipe(), feeds)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"prune_channels.*\[GP536\]"):
        prune_channels(model, "flap", feeds)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="GP577"):
        prune_channels(model, recipe(), [{"x": np.ones((4, 8), np.float32)}])
    bad = feeds[0]["x"].copy()
    bad[3, 0] = np.nan
    with pytest.raises(InputError, match=r"weight 'v', node .* NaN or infinite on sample 3 \[GP581\]"):
        prune_channels(model, recipe(), [{"x": bad}])
    with pytest.raises(RecipeError, match=r"'uu' matches nothing.*\[GP321\]"):
        prune_channels(model, recipe(targets=("u", "uu")), [{"x": bad}])
    set_stage(model, Stage.MASKED)
    with pytest.raises(PreconditionError, match=r"prune_channels: the model is masked, expected dense or .*\[GP255\]"):
        prune_channels(model, recipe(), feeds)


def test_without_samples_there_is_no_plan() -> None:
    model = made(MLP, WEIGHTS)
    message = r"criterion 'flap' needs samples for group 'u': give --calibration DATA, or call .*\[GP306\]"
    for scope in (None, "layer", "global"):
        with pytest.raises(RecipeError, match=message):
            gp.plan(model, recipe(scope=scope))
    with pytest.raises(RecipeError, match=message):
        gp.plan(model, recipe(share_of="macs"))
