"""Pruning channels by samples, beside plain NumPy and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.analysis.weights import linear_weights
from graphprune.calibration.channels import prune_channels
from graphprune.calibration.streaming.columns import multiplied
from graphprune.passes.base import run_pass
from graphprune.passes.fingerprint import fingerprint
from graphprune.passes.fold_channels import FoldChannels
from graphprune.passes.fold_constants import FoldConstants
from graphprune.planning.recipe import Rule
from graphprune.stages.stage import Stage, get_stage
from graphprune.testing import models
from graphprune.testing.check_pass import open_feeds
from graphprune.testing.models.structures import build_structure
from tests.calibration.channel_models import (
    CASES,
    MLP,
    TWO,
    TWO_WEIGHTS,
    WEIGHTS,
    Array,
    Feeds,
    assert_same_mean,
    chosen,
    constant,
    lowest,
    made,
    recipe,
    rows,
    run,
)


def test_what_varies_least_goes() -> None:
    model, feeds = made(MLP, WEIGHTS), [{"x": rows(100, 8)}]
    before = fingerprint(model)
    result = prune_channels(model, recipe(), feeds, most_samples=70)
    hidden = run(model, [{"x": feeds[0]["x"][:70]}], "a")
    scores = hidden.var(axis=0) * np.square(constant(model, "v").astype(np.float64)).sum(axis=1)
    assert chosen(result) == {"u": lowest(scores, 6)}
    assert (result.samples, result.skips, [(each.name, each.zeros) for each in result.layers]) == (70, (), [("v", 36)])
    assert fingerprint(model) == before
    assert get_stage(result.model) is Stage.SPARSE
    gone = list(lowest(scores, 6))
    assert not constant(result.model, "u")[:, gone].any()
    assert not constant(result.model, "b")[gone].any()


def test_several_layers_that_read_a_channel_count_together() -> None:
    text = """g (float[n,8] x) => (float[n,6] y, float[n,4] z) {
        a = MatMul(x,u) y = MatMul(a,v) c = Tanh(a) z = Gemm<transB=1>(c,w) }"""
    model, feeds = made(text, {"u": (8, 10), "v": (10, 6), "w": (4, 10)}), [{"x": rows(100, 8)}]
    result = prune_channels(model, recipe(), feeds)
    parts = [
        run(model, feeds, value).var(axis=0) * np.square(constant(model, name).astype(np.float64)).sum(axis=axis)
        for value, name, axis in (("a", "v", 1), ("c", "w", 0))
    ]
    assert chosen(result) == {"u": lowest(parts[0] + parts[1], 5)}


def bert() -> tuple[ir.Model, list[str]]:
    return models.build("bert_tiny"), ["encoder.layer.0.attention.", "encoder.layer.1.attention."]


def llama() -> tuple[ir.Model, list[str]]:
    """A decoder of 4 heads that share 2 pairs of keys and values."""
    return build_structure("llama_small"), ["model.layers.0.self_attn.", "model.layers.1.self_attn."]


@pytest.mark.parametrize(("build", "heads"), [(bert, 4), (llama, 2)])
def test_heads_are_worth_what_their_channels_are_in_the_mean(
    build: Callable[[], tuple[ir.Model, list[str]]], heads: int
) -> None:
    model, blocks = build()
    model = run_pass(FoldConstants(), model).model
    feeds = open_feeds(model, 6)
    result = prune_channels(model, recipe(scope="layer"), feeds)
    found = [(group.group, group.channels) for group in result.plan.channels if group.size == heads]
    assert [name.startswith(block) for (name, _), block in zip(found, blocks, strict=True)] == [True, True]
    for (_, channels), block in zip(found, blocks, strict=True):
        assert channels == lowest(head_scores(model, feeds, block, heads), heads // 2)
    folded = run_pass(FoldChannels(), result.model).model
    for block in blocks:
        assert [constant(each, output_weight(each, block)).shape[1] for each in (model, folded)] == [64, 32]
    output = str(model.graph.outputs[0].name)
    np.testing.assert_allclose(run(folded, feeds, output), run(result.model, feeds, output), atol=1e-5)


def output_weight(model: ir.Model, block: str) -> str:
    """What multiplies the heads of a block, [outputs, inputs]."""
    ends = ("output.dense.weight", "o_proj.weight")
    return next(name for name in model.graph.initializers if name.startswith(block) and name.endswith(ends))


def head_scores(model: ir.Model, feeds: Feeds, block: str, heads: int) -> Array:
    """The scores that the paper's repository gives the heads of a block, but for its squares."""
    weight = next(each for each in linear_weights(model)[0] if each.name == output_weight(model, block))
    inputs = run(model, feeds, str(multiplied(weight).name))
    energies = inputs.reshape(-1, inputs.shape[-1]).var(axis=0) * np.square(constant(model, weight.name)).sum(axis=0)
    scores: Array = (energies - energies.mean()) / energies.std(ddof=1)
    by_head: Array = scores.reshape(heads, -1).mean(axis=1)
    return by_head


@pytest.mark.parametrize("share", [0.1, 0.35, 0.6])
def test_one_threshold_by_what_channels_cost(share: float) -> None:
    model, feeds = made(TWO, TWO_WEIGHTS), [{"x": rows(100, 8)}]
    result = prune_channels(model, recipe(share), feeds)
    scores, costs = [], []
    for value, reader, cost in (("c", "v", 8 + 1 + 20), ("e", "w", 12 + 6)):
        energies = run(model, feeds, value).var(axis=0) * np.square(constant(model, reader)).sum(axis=1)
        scores.append((energies - energies.mean()) / energies.std(ddof=1))
        costs.append(np.full(energies.size, cost))
    order, every = np.argsort(np.concatenate(scores)), np.concatenate(costs)
    sums = np.concatenate([[0], np.cumsum(every[order])])
    gone = order[: np.abs(sums - share * every.sum()).argmin()]
    expected = [gone[gone < 12], gone[gone >= 12] - 12]
    assert abs(expected[0].size / 12 - expected[1].size / 20) > 0.1  # other shares than with one for each group
    assert chosen(result) == {
        name: tuple(sorted(map(int, each))) for name, each in zip(("u", "v"), expected, strict=True)
    }


def test_a_share_of_each_group_or_of_the_model() -> None:
    model, feeds = made(TWO, TWO_WEIGHTS), [{"x": rows(100, 8)}]
    result = prune_channels(model, recipe(0.25, scope="layer"), feeds)
    assert {name: len(each or ()) for name, each in chosen(result).items()} == {"u": 3, "v": 5}
    whole = sum(constant(model, name).size for name in TWO_WEIGHTS)
    small = run_pass(FoldChannels(), prune_channels(model, recipe(0.4, share_of="parameters"), feeds).model).model
    left = sum(constant(small, name).size for name in TWO_WEIGHTS)
    assert 0.5 * whole < left <= 0.6 * whole


def test_rules_and_lists() -> None:
    model, feeds = made(TWO, TWO_WEIGHTS), [{"x": rows(100, 8)}]
    ruled = prune_channels(model, recipe(0.5, rules=(Rule(targets=("v",), sparsity=0.25),)), feeds)
    assert {name: len(each or ()) for name, each in chosen(ruled).items()} == {"u": 6, "v": 5}
    listed = prune_channels(model, recipe(0.5, ignore=("v",), indices={"u": (1, 2)}), feeds)
    assert chosen(listed) == {"u": (1, 2)}
    assert_same_mean(model, listed.model, feeds, "d", "d_sum")


def windows(array: Array) -> Array:
    """What a kernel of 3 by 3 with padding of 1 and strides of 2 sees of each channel, [positions, channels, 3, 3]."""
    padded = np.pad(array, ((0, 0), (0, 0), (1, 1), (1, 1)))
    places = [(y, x) for y in range(0, array.shape[2], 2) for x in range(0, array.shape[3], 2)]
    return np.concatenate([padded[:, :, y : y + 3, x : x + 3] for y, x in places])


def test_a_convolution_counts_what_each_weight_multiplies() -> None:
    text, given, shape = CASES["Conv with padding"]
    model, feeds = made(text, given), [{"x": rows(*shape)}]
    result = prune_channels(model, recipe(0.3), feeds)
    seen = windows(run(model, feeds, "c"))
    scores = (seen.var(axis=0) * np.square(constant(model, "v").astype(np.float64)).sum(axis=0)).sum(axis=(1, 2))
    assert chosen(result) == {"u": lowest(scores, 4)}


def test_layers_are_counted() -> None:
    seen: list[int] = []
    prune_channels(made(TWO, TWO_WEIGHTS), recipe(), [{"x": rows(40, 8)}], on_layer=seen.append)
    assert seen == [1, 2, 3, 4]  # each is looked at, then pruned
