"""Pruning whole models by samples."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
import onnx_ir as ir
import pytest

import graphprune as gp
from graphprune.analysis.weights import linear_weights
from graphprune.calibration.layer import Solution, solve
from graphprune.calibration.prune import prune
from graphprune.calibration.trial import relative_errors
from graphprune.errors import BackendError, InputError, PreconditionError, RecipeError
from graphprune.passes.fingerprint import fingerprint
from graphprune.planning.pruning_plan import WeightPlan
from graphprune.planning.recipe import Rule
from graphprune.stages.stage import Stage, get_stage, set_stage
from graphprune.testing import models
from graphprune.testing.check_pass import open_feeds
from tests.backends.tvm.graphs import Initializer, parse

RNG = np.random.default_rng(0)
TEXT = """g (float[n,8] x) => (float[n,4] y) {
    [one] a = Gemm<transB=1>(x,u,b) c = Relu(a) [two] d = MatMul(c,v) e = Add(d,k) f = Tanh(e)
    [three] y = MatMul(f,w) }"""
WEIGHTS: dict[str, Initializer] = {"u": (16, 8), "b": (16,), "v": (16, 12), "k": (12,), "w": (12, 4)}
SAMPLES = RNG.standard_normal((40, 8)).astype(np.float32) @ RNG.standard_normal((8, 8)).astype(np.float32) + 1


def small() -> ir.Model:
    return parse(TEXT, WEIGHTS)


class Options(TypedDict, total=False):
    """Of `prune`."""

    repair: Collection[str]
    refine: str | None
    most_samples: int
    memory: int
    resume_in: Path
    on_layer: Callable[[int], None]


def pruned(model: ir.Model, recipe: gp.Recipe, **options: Unpack[Options]) -> gp.PruneResult:
    return prune(model, gp.plan(model, recipe), [{"x": SAMPLES}], **options)


def initializer(model: ir.Model, name: str) -> np.ndarray:
    tensor = model.graph.initializers[name].const_value
    assert tensor is not None
    return tensor.numpy()


def weights(model: ir.Model) -> dict[str, np.ndarray]:
    return {weight.name: weight.tensor.numpy() for weight in linear_weights(model)[0]}


@pytest.mark.parametrize("pattern", ["unstructured", "2:4", "block 1x4"])
@pytest.mark.parametrize("criterion", ["magnitude", "wanda", "sparsegpt"])
def test_weights_have_the_zeros_of_the_plan(criterion: str, pattern: str) -> None:
    model = small()
    before = fingerprint(model)
    recipe = gp.Recipe(criterion=criterion, pattern=pattern, sparsity=None if ":" in pattern else 0.5)
    result = pruned(model, recipe)
    assert fingerprint(model) == before
    assert get_stage(result.model) is Stage.SPARSE
    assert [layer.name for layer in result.layers] == ["u", "v", "w"]
    for entry, layer in zip(gp.plan(model, recipe).weights, result.layers, strict=True):
        assert layer.zeros == entry.pruned == np.count_nonzero(weights(result.model)[entry.name] == 0)
        assert layer.elements == np.prod(entry.shape)
        assert 0 < layer.error < 1
    assert (result.samples, result.skips) == (40, ())


def test_magnitudes_need_no_samples() -> None:
    model, recipe = small(), gp.Recipe(sparsity=0.6)
    by_pass = gp.Pipeline([gp.passes.PruneWeights(plan=gp.plan(model, recipe))]).run(model).model
    for name, array in weights(pruned(model, recipe).model).items():
        np.testing.assert_array_equal(array, weights(by_pass)[name])


def test_later_layers_see_what_earlier_ones_have_become() -> None:
    model, recipe = small(), gp.Recipe(sparsity=0.5, criterion="wanda", scope="layer")
    result = pruned(model, recipe)
    found = weights(result.model)
    hidden = np.maximum(SAMPLES @ found["u"].T + initializer(model, "b"), 0)
    dense = weights(model)["v"]
    scores = np.abs(dense) * np.linalg.norm(hidden, axis=0)[:, None]
    assert set(np.argsort(scores, axis=None)[dense.size // 2 :]) == set(np.flatnonzero(found["v"]))


@pytest.mark.parametrize("name", ["resnet_tiny", "bert_tiny"])
def test_each_step_up_brings_outputs_closer(name: str) -> None:
    model = models.build(name)
    feeds = open_feeds(model, 12)

    def error(criterion: str, *repair: str) -> float:
        found = prune(model, gp.plan(model, gp.Recipe(sparsity=0.5, criterion=criterion)), feeds, repair=repair)
        return max(relative_errors(model, found.model, feeds).values())

    assert error("sparsegpt") < 0.8 * error("magnitude")
    assert error("wanda", "bias") < 0.8 * error("wanda")
    assert error("wanda", "least-squares", "bias") < 0.95 * error("wanda", "bias")
    assert error("sparsegpt", "bias", "drift") < 0.95 * error("sparsegpt", "bias")


@pytest.mark.parametrize("repair", ["bias", "batch-norm"])
def test_biases_take_what_means_lose_where_a_product_is_scaled(repair: str) -> None:
    text = "g (float[n,8] x) => (float[n,6] y) { y = Gemm<alpha=0.25,beta=2.0>(x,u,b) }"
    model = parse(text, {"u": (8, 6), "b": (6,)})
    result = pruned(model, gp.Recipe(sparsity=0.5), repair=[repair])
    before, after = (
        gp.compile(each, backend="onnxruntime").run(None, {"x": SAMPLES})[0] for each in (model, result.model)
    )
    np.testing.assert_allclose(after.mean(axis=0), before.mean(axis=0), atol=1e-5)
    assert np.abs(after - before).max() > 0.1


def test_biases_take_what_means_lose() -> None:
    model = small()
    result = pruned(model, gp.Recipe(sparsity=0.5), repair=["bias"])
    assert [(skip.code, skip.node) for skip in result.skips] == [("GP319", "w")]
    found, before = weights(result.model), weights(model)
    lost = (SAMPLES @ (before["u"] - found["u"]).T).mean(axis=0)
    shift = initializer(result.model, "b") - initializer(model, "b")
    np.testing.assert_allclose(shift, lost, rtol=1e-4, atol=1e-6)


UNSHIFTED: dict[str, tuple[str, dict[str, Initializer], tuple[int, ...]]] = {
    "no bias": ("g (float[n,8] x) => (float[n,8] y) { y = MatMul(x,u) }", {"u": (8, 8)}, (40, 8)),
    "from the left": (
        "g (float[8,8] x) => (float[8,8] y) { h = MatMul(u,x) y = Add(h,k) }",
        {"u": (8, 8), "k": (8,)},
        (5, 8, 8),
    ),
    "half floats": (
        "g (float16[n,8] x) => (float16[n,8] y) { y = Gemm(x,u,k) }",
        {"u": RNG.standard_normal((8, 8)).astype(np.float16), "k": np.ones(8, np.float16)},
        (40, 8),
    ),
}


@pytest.mark.parametrize("criterion", ["magnitude", "sparsegpt"])
@pytest.mark.parametrize("name", UNSHIFTED)
def test_means_count_where_no_bias_takes_them(name: str, criterion: str) -> None:
    text, given, shape = UNSHIFTED[name]
    model = parse(text, given)
    plan = gp.plan(model, gp.Recipe(sparsity=0.5, criterion=criterion))
    dtype = np.float16 if "float16" in text else np.float32
    samples = [{"x": (RNG.standard_normal(shape) + 5).astype(dtype)}]
    with_bias, without = (prune(model, plan, samples, repair=repair) for repair in (["bias"], []))
    assert [(skip.code, skip.node) for skip in with_bias.skips] == [("GP319", "u")]
    assert fingerprint(with_bias.model) == fingerprint(without.model)


def test_only_as_many_samples_are_looked_at_as_asked_for() -> None:
    model, recipe = small(), gp.Recipe(sparsity=0.5, criterion="wanda")
    few = pruned(model, recipe, most_samples=3)
    assert few.samples == 3
    same = prune(model, gp.plan(model, recipe), [{"x": SAMPLES[:3]}])
    for name, array in weights(few.model).items():
        np.testing.assert_array_equal(array, weights(same.model)[name])


def test_a_shared_weight_is_left_alone() -> None:
    model = parse(
        "g (float[n,8] x) => (float[n,8] y) { a = MatMul(x,u) b = MatMul(a,u) y = MatMul(b,v) }",
        {"u": (8, 8), "v": (8, 8)},
    )
    result = pruned(model, gp.Recipe(sparsity=0.5, criterion="wanda"))
    assert [(skip.code, skip.node) for skip in result.skips] == [("GP314", "u")]
    np.testing.assert_array_equal(weights(result.model)["u"], weights(model)["u"])
    assert [layer.name for layer in result.layers] == ["v"]


def test_a_model_of_which_samples_show_nothing() -> None:
    model = parse("g (float[n,8] x) => (float[n,8] y) { a = MatMul(x,u) y = MatMul(a,u) }", {"u": (8, 8)})
    with pytest.raises(RecipeError, match=r"nothing to prune: u: is shared by 2 nodes.* \[GP314\] \[GP326\]"):
        pruned(model, gp.Recipe(sparsity=0.5, criterion="wanda"))


def test_integers_take_zeros_and_no_new_numbers() -> None:
    text = """g (float[n,8] x) => (float[n,8] y) {
        t = DequantizeLinear(u,s) a = MatMul(x,t) y = MatMul(a,v) }"""
    given: dict[str, Initializer] = {
        "u": RNG.integers(-9, 9, (8, 8)).astype(np.int8), "s": np.array(0.5, np.float32), "v": (8, 8),
    }  # fmt: skip
    model = parse(text, given)
    result = pruned(model, gp.Recipe(sparsity=0.5, criterion="wanda"))
    found = weights(result.model)["u"]
    assert found.dtype == np.int8
    assert np.count_nonzero(found == 0) >= 32
    np.testing.assert_array_equal(found[found != 0], weights(model)["u"][found != 0])
    second = pruned(model, gp.Recipe(sparsity=0.5, criterion="sparsegpt"))
    assert [(skip.code, skip.node) for skip in second.skips] == [("GP318", "u")]


def test_half_floats_stay_half_floats() -> None:
    model = parse("g (float16[n,8] x) => (float16[n,8] y) { y = MatMul(x,u) }", UNSHIFTED["half floats"][1])
    plan = gp.plan(model, gp.Recipe(sparsity=0.5, criterion="sparsegpt"))
    result = prune(model, plan, [{"x": SAMPLES.astype(np.float16)}])
    assert weights(result.model)["u"].dtype == np.float16


class StoppedError(Exception):
    """What kills a run."""


def test_a_run_that_was_killed_goes_on_behind_its_last_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, recipe = small(), gp.Recipe(sparsity=0.5, criterion="sparsegpt")
    whole = pruned(model, recipe, repair=["bias"])

    def stop(done: int) -> None:
        if done == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        pruned(model, recipe, repair=["bias"], resume_in=tmp_path / "run", on_layer=stop)
    solved: list[str] = []

    def counted(plan: WeightPlan, *rest: Any) -> Solution:  # noqa: ANN401
        solved.append(plan.name)
        return solve(plan, *rest)

    monkeypatch.setattr("graphprune.calibration.pruner.solve", counted)
    seen: list[int] = []
    result = pruned(model, recipe, repair=["bias"], resume_in=tmp_path / "run", on_layer=seen.append)
    assert (solved, seen) == (["w"], [1, 2, 3])
    assert result.layers == whole.layers
    assert fingerprint(result.model) == fingerprint(whole.model)
    with pytest.raises(InputError, match="GP585"):
        pruned(model, gp.Recipe(sparsity=0.5, criterion="wanda"), resume_in=tmp_path / "run")
    shutil.rmtree(tmp_path / "run")
    np.testing.assert_array_equal(weights(result.model)["u"], weights(whole.model)["u"])


def test_what_lies_in_files_gives_the_same() -> None:
    model, recipe = small(), gp.Recipe(sparsity=0.5, criterion="sparsegpt")
    assert fingerprint(pruned(model, recipe, memory=0).model) == fingerprint(pruned(model, recipe).model)


def test_an_unknown_repair() -> None:
    known = "bias, drift, damping, least-squares, batch-norm, blocks"
    with pytest.raises(InputError, match=rf"repair is 'prayer', expected some of {known} \[GP586\]"):
        pruned(small(), gp.Recipe(sparsity=0.5), repair=["prayer"])


def test_damping_is_chosen_where_drift_is_made_up_for() -> None:
    with pytest.raises(InputError, match="give 'drift' too") as caught:
        pruned(small(), gp.Recipe(sparsity=0.5), repair=["damping", "bias"])
    assert caught.value.code == "GP596"


@pytest.mark.parametrize(
    "recipe",
    [gp.Recipe(sparsity=0.5, scope="global"), gp.Recipe(criterion="wanda", pattern="2:4")],
    ids=["global", "2:4"],
)
def test_refined_masks_have_the_zeros_of_the_plan(recipe: gp.Recipe) -> None:
    model = small()
    plan = gp.plan(model, recipe)
    before, found = (prune(model, plan, [{"x": SAMPLES}], refine=each) for each in (None, "dsnot"))
    assert fingerprint(before.model) != fingerprint(found.model)
    assert [layer.zeros for layer in found.layers] == [entry.pruned for entry in plan.weights]
    repaired = prune(model, plan, [{"x": SAMPLES}], refine="dsnot", repair=["bias", "drift", "least-squares"])
    assert [layer.zeros for layer in repaired.layers] == [entry.pruned for entry in plan.weights]
    assert sum(layer.error for layer in repaired.layers) < sum(layer.error for layer in found.layers)


def _no_zeros(shape: tuple[int, ...]) -> np.ndarray:
    found: np.ndarray = RNG.integers(1, 9, shape) * RNG.choice([-1, 1], shape)
    return found.astype(np.int8)


def test_integers_are_refined_without_new_numbers() -> None:
    given: dict[str, Initializer] = {"u": _no_zeros((8, 8)), "s": np.array(0.5, np.float32)}
    model = parse("g (float[n,8] x) => (float[n,8] y) { t = DequantizeLinear(u,s) y = MatMul(x,t) }", given)
    before, found = (
        weights(pruned(model, gp.Recipe(sparsity=0.5, criterion="wanda"), refine=each).model)["u"]
        for each in (None, "dsnot")
    )
    assert (before != found).any()
    assert np.count_nonzero(found) == 32
    np.testing.assert_array_equal(found[found != 0], weights(model)["u"][found != 0])


def test_a_run_with_another_refinement_does_not_go_on(tmp_path: Path) -> None:
    recipe = gp.Recipe(sparsity=0.5, criterion="wanda")
    pruned(small(), recipe, refine="dsnot", resume_in=tmp_path / "run")
    with pytest.raises(InputError, match="GP585"):
        pruned(small(), recipe, resume_in=tmp_path / "run")
    assert pruned(small(), recipe, refine="dsnot", resume_in=tmp_path / "run").layers


def test_an_unknown_refinement() -> None:
    with pytest.raises(InputError, match=r"refine is 'prayer', expected dsnot \[GP590\]"):
        pruned(small(), gp.Recipe(sparsity=0.5), refine="prayer")


@pytest.mark.parametrize("pattern", ["block 1x4", "2:4x2"])
def test_patterns_whose_masks_are_not_refined(pattern: str, tmp_path: Path) -> None:
    recipe = gp.Recipe(sparsity=0.5, rules=(Rule(targets=("v",), pattern=pattern),))
    reason = f"ties zeros of several elements or outputs together (pattern '{pattern}') [GP591]"
    with pytest.raises(RecipeError) as caught:
        pruned(small(), recipe, refine="dsnot", resume_in=tmp_path / "run")
    assert str(caught.value) == f"weight 'v' cannot be refined by dsnot: it {reason}"
    assert not (tmp_path / "run").exists()


def test_a_masked_model() -> None:
    model = small()
    plan = gp.plan(model, gp.Recipe(sparsity=0.5))
    set_stage(model, Stage.MASKED)
    with pytest.raises(PreconditionError, match=r"prune: the model is masked, expected dense or sparse \[GP255\]"):
        prune(model, plan, [{"x": SAMPLES}])


def test_a_plan_of_channels() -> None:
    model = models.build("resnet_tiny")
    plan = gp.plan(model, gp.Recipe(sparsity=0.5, pattern="channel"))
    with pytest.raises(RecipeError, match=r"the plan is of channels, which samples do not choose \[GP587\]"):
        prune(model, plan, open_feeds(model, 1))


def test_samples_that_do_not_fit() -> None:
    model = small()
    plan = gp.plan(model, gp.Recipe(sparsity=0.5))
    with pytest.raises((InputError, BackendError), match="GP51"):
        prune(model, plan, [{"z": SAMPLES}])
    with pytest.raises(InputError, match="GP567"):
        prune(model, plan, [])
    bad = SAMPLES.copy()
    bad[2, 3] = np.nan
    with pytest.raises(InputError, match=r"weight 'u', node 'one' \(Gemm\): its input is NaN .* on sample 2 \[GP581\]"):
        prune(model, plan, [{"x": bad}])


def test_samples_that_say_nothing() -> None:
    model = small()
    plan = gp.plan(model, gp.Recipe(sparsity=0.5, criterion="wanda"))
    with pytest.raises(InputError, match=r"the inputs are 0.5 everywhere in all samples, expected real ones \[GP577\]"):
        prune(model, plan, [{"x": np.full((4, 8), 0.5, np.float32)}] * 2)
    varied = [{"x": np.full((1, 8), number, np.float32)} for number in (1, 2)]
    assert prune(model, plan, varied).samples == 2


def test_damping_is_chosen_by_samples_that_are_held_back() -> None:
    model, feeds = small(), [{"x": SAMPLES[row : row + 1]} for row in range(12)]
    plan = gp.plan(model, gp.Recipe(criterion="wanda", sparsity=0.5))
    plain, damped = (
        weights(prune(model, plan, feeds, repair=repair).model) for repair in (["drift"], ["drift", "damping"])
    )
    assert np.array_equal(plain["u"], damped["u"])  # nothing has changed before it
    assert not np.array_equal(plain["v"], damped["v"])
