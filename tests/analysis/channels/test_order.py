"""Channels that may change places do so without changing the function; those that may not are named with a value."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, event, given, note, seed, settings
from hypothesis import strategies as st

from graphprune.analysis.channels import ChannelGroup, channel_layout
from graphprune.testing import models
from tests.analysis.channels.drafts import drafts
from tests.analysis.channels.masking import arrays, check_equal, with_arrays
from tests.weighted import inferred_model


def shuffled(model: ir.Model, groups: Iterable[ChannelGroup], choice: int) -> ir.Model:
    """Return the model with the channels of groups in another order."""
    groups, rng = list(groups), np.random.default_rng(choice)
    found = arrays(model, groups)
    for group in groups:
        order = rng.permutation(group.size)
        for each in (*group.producers, *group.carriers, *group.readers, *group.companions):
            where = each.indices()[:, 0]
            axis_order = np.arange(found[each.name].shape[each.axis])
            axis_order[where] = where[order]
            found[each.name] = found[each.name].take(axis_order, each.axis)
    return with_arrays(model, found)


@pytest.mark.parametrize("part", range(4))
def test_channels_in_order_may_change_places(part: int) -> None:
    @seed(part)
    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(drafts(), st.integers(0, 1 << 16))
    def check(model: ir.Model, choice: int) -> None:
        note(ir.to_onnx_text(model))
        layout = channel_layout(model)
        stuck = layout.out_of_order()
        free = [group for group in layout.groups if group.name not in stuck]
        event(f"{len(free)} free, {len(stuck)} stuck")
        if free:
            check_equal(model, shuffled(model, free, choice))

    check()


@pytest.mark.parametrize("name", ["resnet_tiny", "mobilenet_tiny", "bert_tiny", "vit_tiny"])
def test_real_models(name: str) -> None:
    model = models.build(name)
    layout = channel_layout(model)
    free = [group for group in layout.groups if group.name not in layout.out_of_order()]
    assert free
    check_equal(model, shuffled(model, free, 0))


HEAD = "g (float[2,3] x, float[3,4] w, float[4,2] w_v, float[8,4] w_u) => (float[2,2] y) <int64[2] flat = {2, -1}, "
IN_THE_WAY = {
    "gathered out of order": ("int64[4] i = {2, 3, 0, 1}>", "a = Gather <axis = 1> (h, i)", "a"),
    "backwards": (
        "int64[1] i = {3}, int64[1] e = {-9}, int64[1] one = {1}, int64[1] step = {-1}>",
        "a = Slice (h, i, e, one, step)",
        "a",
    ),
    "joined": ("int64 unused = {0}>", "c = Concat <axis = 1> (h, h) a = MatMul (c, w_u)", "c"),
    "shuffled": (
        "int64[3] split = {2, 2, 2}>",
        "s = Reshape (h, split) t = Transpose <perm = [0, 2, 1]> (s) a = Reshape (t, flat)",
        "w",
    ),
    "cut and joined": (
        "int64[2] split = {2, 2}>",
        "c, d = Split <axis = 1> (h, split) a = Concat <axis = 1> (c, d)",
        "c",
    ),
}


@pytest.mark.parametrize("case", IN_THE_WAY)
def test_the_first_value_in_the_way_is_named(case: str) -> None:
    constants, between, value = IN_THE_WAY[case]
    model = inferred_model(f"{HEAD}{constants} {{ h = MatMul (x, w) {between} y = MatMul (a, w_v) }}")
    layout = channel_layout(model)
    names = {group.name: stuck.name for group in layout.groups if (stuck := layout.out_of_order().get(group.name))}
    assert names["w"] == value


def test_a_slice_that_takes_all_is_not_in_the_way() -> None:
    constants = "int64[1] i = {0}, int64[1] e = {4}, int64[1] one = {1}>"
    model = inferred_model(f"{HEAD}{constants} {{ h = MatMul (x, w) a = Slice (h, i, e, one) y = MatMul (a, w_v) }}")
    assert not channel_layout(model).out_of_order()
