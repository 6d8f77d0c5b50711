"""Pruning channels by samples, beside plain NumPy and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest

import graphprune as gp
from graphprune.analysis.weights import linear_weights
from graphprune.backends.onnxruntime import session_for
from graphprune.calibration.channels import prune_channels
from graphprune.calibration.streaming.columns import multiplied
from graphprune.errors import InputError, PreconditionError, RecipeError
from graphprune.passes.base import run_pass
from graphprune.passes.fingerprint import fingerprint
from graphprune.passes.fold_channels import FoldChannels
from graphprune.passes.fold_constants import FoldConstants
from graphprune.passes.shape_inference import infer_shapes
from graphprune.planning.channels.options import ChannelOptions
from graphprune.planning.recipe import Rule
from graphprune.stages.stage import Stage, get_stage, set_stage
from graphprune.testing import models
from graphprune.testing.check_pass import open_feeds
from graphprune.testing.models.structures import build_structure
from tests.backends.tvm.graphs import Initializer, parse

Array = npt.NDArray[Any]
Feeds = list[dict[str, Array]]

MLP = "g (float[n,8] x) => (float[n,6] y) { h = Gemm(x,u,b) a = Relu(h) y = MatMul(a,v) }"
WEIGHTS: dict[str, Initializer] = {"u": (8, 12), "b": (12,), "v": (12, 6)}


def made(text: str, given: dict[str, Initializer]) -> ir.Model:
    model = parse(text, given)
    infer_shapes(model)
    return model


def rows(*shape: int, seed: int = 0) -> Array:
    """Samples that do not vary around zero, each channel by a size of its own."""
    rng = np.random.default_rng(seed)
    scale = np.exp(rng.standard_normal((1, shape[1], *[1] * (len(shape) - 2))))
    return (rng.standard_normal(shape) * scale + rng.standard_normal(scale.shape)).astype(np.float32)


def recipe(sparsity: float = 0.5, **keys: Any) -> gp.Recipe:  # noqa: ANN401
    options = {key: keys.pop(key) for key in set(keys) & set(ChannelOptions.model_fields)}
    return gp.Recipe(sparsity=sparsity, pattern="channel", channels=ChannelOptions(criterion="flap", **options), **keys)


def run(model: ir.Model, feeds: Feeds, name: str) -> Array:
    """One value on all samples, stacked, by ONNX Runtime without its optimisations."""
    clone = model.clone()
    value = next(each for node in clone.graph for each in node.outputs if each.name == name)
    if not value.is_graph_output():
        clone.graph.outputs.append(value)
    session = session_for(clone, optimize=False)
    return np.concatenate([session.run([name], feed)[0] for feed in feeds]).astype(np.float64)


def constant(model: ir.Model, name: str) -> Array:
    tensor = model.graph.initializers[name].const_value
    assert tensor is not None
    return tensor.numpy()


def lowest(scores: Array, count: int) -> tuple[int, ...]:
    return tuple(sorted(int(each) for each in np.argsort(scores)[:count]))


def chosen(result: gp.ChannelPruneResult) -> dict[str, tuple[int, ...] | None]:
    return {each.group: each.channels for each in result.plan.channels}


def test_what_varies_least_goes() -> None:
    model, feeds = made(MLP, WEIGHTS), [{"x": rows(100, 8)}]
    before = fingerprint(model)
    result = prune_channels(model, recipe(), feeds, most_samples=70)
    hidden = run(model, [{"x": feeds[0]["x"][:70]}], "a")
    scores = hidden.var(axis=0) * np.square(constant(model, "v").astype(np.float64)).sum(axis=1)
    assert chosen(result) == {"u": lowest(scores, 6)}
    assert (result.samples, result.skips, result.layers) == (70, (), ())
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


TWO = """g (float[n,8] x) => (float[n,6] y) {
    a = Gemm(x,u,b) c = Relu(a) d = MatMul(c,v) e = Tanh(d) y = MatMul(e,w) }"""
TWO_WEIGHTS: dict[str, Initializer] = {"u": (8, 12), "b": (12,), "v": (12, 20), "w": (20, 6)}


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


SHAPES, STRIDED = "float[n,6,7,9] x", "<pads=[1,1,1,1],strides=[2,2]>"
CASES: dict[str, tuple[str, dict[str, Initializer], tuple[int, ...]]] = {
    "MatMul with an Add": (
        "g (float[n,8] x) => (float[n,6] y) { a = MatMul(x,u) c = Relu(a) d = MatMul(c,v) y = Add(d,k) }",
        {"u": (8, 12), "v": (12, 6), "k": (6,)},
        (50, 8),
    ),
    "MatMul alone, of three axes": (
        "g (float[n,8,5] x) => (float[n,8,6] y) { a = MatMul(x,u) c = Relu(a) y = MatMul(c,v) }",
        {"u": (5, 12), "v": (12, 6)},
        (50, 8, 5),
    ),
    "MatMul and a sum": (
        "g (float[n,8] x) => (float[n,8] y) { a = MatMul(x,u) c = Relu(a) d = MatMul(c,v) y = Add(x,d) }",
        {"u": (8, 12), "v": (12, 8)},
        (50, 8),
    ),
    "Gemm with factors": (
        "g (float[n,8] x) => (float[n,6] y) { a = MatMul(x,u) c = Relu(a) y = Gemm<alpha=0.5,beta=2.0>(c,v,k) }",
        {"u": (8, 12), "v": (12, 6), "k": (6,)},
        (50, 8),
    ),
    "Conv with padding": (
        f"g ({SHAPES}) => (float[n,5,4,5] y) {{ a = Conv(x,u,b) c = Relu(a) y = Conv{STRIDED}(c,v) }}",
        {"u": (12, 6, 1, 1), "b": (12,), "v": (5, 12, 3, 3)},
        (20, 6, 7, 9),
    ),
    "Conv of groups": (
        f"g ({SHAPES}) => (float[n,4,7,9] y) {{ a = Conv(x,u) c = Relu(a) y = Conv<group=2>(c,v,k) }}",
        {"u": (12, 6, 1, 1), "v": (4, 6, 1, 1), "k": (4,)},
        (20, 6, 7, 9),
    ),
    "Flatten": (
        """g (float[n,3,4,4] x) => (float[n,6] y) {
            a = Conv<pads=[1,1,1,1]>(x,u) c = Relu(a) f = Flatten(c) y = Gemm(f,v,k) }""",
        {"u": (8, 3, 3, 3), "v": (128, 6), "k": (6,)},
        (30, 3, 4, 4),
    ),
}


def assert_same_mean(model: ir.Model, other: ir.Model, feeds: Feeds, name: str, renamed: str = "") -> None:
    """Compare the means of channels, over samples and positions; the values themselves differ."""
    one, two = run(model, feeds, name), run(other, feeds, renamed or name)
    axes = tuple(axis for axis in range(one.ndim) if axis != (1 if one.ndim == 4 else one.ndim - 1))
    np.testing.assert_allclose(two.mean(axis=axes), one.mean(axis=axes), atol=1e-5 * np.abs(one).max())
    assert np.abs(two - one).mean() > 0.01 * np.abs(one).mean()


@pytest.mark.parametrize(("text", "given", "shape"), CASES.values(), ids=CASES)
def test_biases_take_the_means(text: str, given: dict[str, Initializer], shape: tuple[int, ...]) -> None:
    model, feeds = made(text, given), [{"x": rows(*shape)}]
    result = prune_channels(model, recipe(), feeds)
    assert not result.skips
    assert [len(each or ()) for each in chosen(result).values()] == [result.plan.channels[0].size // 2]
    assert_same_mean(model, result.model, feeds, "y")
    folded = run_pass(FoldChannels(), result.model).model
    assert 2 * constant(folded, "u").size == constant(model, "u").size
    expected = run(result.model, feeds, "y")
    np.testing.assert_allclose(run(folded, feeds, "y"), expected, atol=1e-5 * np.abs(expected).max())


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


def test_biases_of_channels_that_go_stay_zero() -> None:
    model, feeds = made(TWO, TWO_WEIGHTS), [{"x": rows(100, 8)}]
    result = prune_channels(model, recipe(0.5, scope="layer"), feeds)
    folded = run_pass(FoldChannels(), result.model).model
    assert [constant(folded, name).shape for name in ("u", "b", "v", "w")] == [(8, 6), (6,), (6, 10), (10, 6)]
    np.testing.assert_allclose(run(folded, feeds, "y"), run(result.model, feeds, "y"), atol=1e-4)


def test_layers_whose_biases_cannot_be_shifted() -> None:
    text = """g (float[n,8] x, float[6] t) => (float[n,6] y, float[6,n] z) {
        a = MatMul(x,u) k = Relu(t) y = Gemm(a,v,k) c = Transpose<perm=[1,0]>(a) z = MatMul(w,c) }"""
    model = made(text, {"u": (8, 12), "v": (12, 6), "w": (6, 12)})
    feeds = [{"x": rows(40, 8), "t": np.ones(6, np.float32)}]
    result = prune_channels(model, recipe(), feeds)
    assert [(skip.code, skip.node) for skip in result.skips] == [("GP319", "v"), ("GP319", "w")]
    assert "(Gemm) has no bias of float32 that could be shifted" in result.skips[0].reason
    halves: dict[str, Initializer] = {
        name: np.random.default_rng(1).standard_normal(shape).astype(np.float16)
        for name, shape in (("u", (8, 12)), ("v", (12, 6)))
    }
    half = made("g (float16[n,8] x) => (float16[n,6] y) { a = MatMul(x,u) y = MatMul(a,v) }", halves)
    found = prune_channels(half, recipe(), [{"x": rows(40, 8).astype(np.float16)}])
    assert [(skip.code, skip.node) for skip in found.skips] == [("GP319", "v")]


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
        prune_channels(model, recipe(targets=("uu",)), [{"x": bad}])
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


def test_layers_are_counted() -> None:
    seen: list[int] = []
    prune_channels(made(TWO, TWO_WEIGHTS), recipe(), [{"x": rows(40, 8)}], on_layer=seen.append)
    assert seen == [1, 2]
