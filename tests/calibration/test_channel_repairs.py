"""Layers make up for the channels that go by samples, beside plain NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import graphprune as gp
from graphprune.analysis.sparsity import weight_counts
from graphprune.calibration.channels import prune_channels
from graphprune.calibration.pruner import Pruner
from graphprune.errors import InputError
from graphprune.passes.base import run_pass
from graphprune.passes.fold_channels import FoldChannels
from tests.backends.tvm.graphs import Initializer
from tests.calibration.channel_models import (
    CASES,
    MLP,
    WEIGHTS,
    Array,
    chosen,
    constant,
    made,
    recipe,
    rows,
    run,
)

MIXED = (rows(400, 8) @ np.random.default_rng(5).standard_normal((8, 8))).astype(np.float32)
"""Inputs that depend on each other, so that some can take the place of others."""

RESIDUAL = """g (float[n,8] x) => (float[n,6] y) {
    a = Gemm(x,u,b) c = Relu(a) d = MatMul(c,v) e = Relu(d) f = MatMul(e,w) h = Add(f,x) i = Relu(h)
    y = MatMul(i,z) }"""
RESIDUAL_WEIGHTS: dict[str, Initializer] = {"u": (8, 24), "b": (24,), "v": (24, 20), "w": (20, 8), "z": (8, 6)}


def error(one: Array, other: Array) -> float:
    return float(np.square(one - other).mean())


def test_weights_that_stay_are_the_optimum_of_each_output() -> None:
    model, feeds = made(MLP, WEIGHTS), [{"x": MIXED}]
    result = prune_channels(model, recipe(), feeds, repair=["least-squares"], most_samples=400)
    kept = [index for index in range(12) if index not in (chosen(result)["u"] or ())]
    hidden = run(model, feeds, "a")
    centred = hidden - hidden.mean(axis=0)
    damping = 0.01 * np.square(centred).sum(axis=0).mean() * np.eye(12)
    moments = centred.T @ centred + damping
    dense = constant(model, "v").astype(np.float64)
    best = np.linalg.solve(moments[np.ix_(kept, kept)], moments[kept] @ dense)
    np.testing.assert_allclose(constant(result.model, "v")[kept], best, atol=1e-5)
    plain = prune_channels(model, recipe(), feeds, most_samples=400)
    before, after = (error(run(each.model, feeds, "y_sum"), run(model, feeds, "y")) for each in (plain, result))
    assert after < 0.7 * before


def test_layers_behind_make_up_for_what_changed_before() -> None:
    model, feeds = made(RESIDUAL, RESIDUAL_WEIGHTS), [{"x": MIXED}]
    chosen_recipe = recipe(0.4)
    plain, repaired = (
        prune_channels(model, chosen_recipe, feeds, repair=repair, most_samples=400)
        for repair in ([], ["drift", "least-squares"])
    )
    assert [each.name for each in plain.layers] == ["v", "w"]
    assert [each.name for each in repaired.layers] == ["u", "v", "w", "z"]
    assert chosen(plain) == chosen(repaired)
    dense = run(model, feeds, "y")
    assert error(run(repaired.model, feeds, "y"), dense) < 0.7 * error(run(plain.model, feeds, "y"), dense)
    assert not np.array_equal(constant(repaired.model, "z"), constant(model, "z"))  # it loses none of its inputs


def test_zeros_of_a_sparse_model_stay() -> None:
    feeds = [{"x": MIXED}]
    sparse = gp.prune(
        made(RESIDUAL, RESIDUAL_WEIGHTS), gp.plan(made(RESIDUAL, RESIDUAL_WEIGHTS), gp.Recipe(sparsity=0.5)), feeds
    )
    result = prune_channels(sparse.model, recipe(0.4), feeds, repair=["drift", "least-squares"])
    for name in ("u", "v", "w", "z"):
        before, after = constant(sparse.model, name), constant(result.model, name)
        assert not after[before == 0].any()
        assert np.count_nonzero(after) > 0.2 * np.count_nonzero(before)


@pytest.mark.parametrize("repair", [["least-squares"], ["drift", "batch-norm"], ["drift", "damping", "least-squares"]])
@pytest.mark.parametrize(("text", "given", "shape"), CASES.values(), ids=CASES)
def test_channels_can_be_taken_out_after_repairs(
    text: str, given: dict[str, Initializer], shape: tuple[int, ...], repair: list[str]
) -> None:
    model, feeds = made(text, given), [{"x": rows(4, *shape[1:], seed=seed)} for seed in range(10)]
    result = prune_channels(model, recipe(), feeds, repair=repair)
    folded = run_pass(FoldChannels(), result.model).model
    assert 2 * constant(folded, "u").size == constant(model, "u").size
    expected = run(result.model, feeds, str(result.model.graph.outputs[0].name))
    found = run(folded, feeds, str(folded.graph.outputs[0].name))
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    counts = weight_counts(result.model)
    assert all(layer.zeros == counts[layer.name].zeros for layer in result.layers if layer.name != "u")


def test_blocks_are_trained() -> None:
    pytest.importorskip("torch")
    model, feeds = made(RESIDUAL, RESIDUAL_WEIGHTS), [{"x": MIXED[index * 20 : index * 20 + 20]} for index in range(20)]
    results = [prune_channels(model, recipe(0.4), feeds, repair=repair) for repair in ((), ("blocks",))]
    dense = run(model, feeds, "y")
    before, after = (error(run(each.model, feeds, "y"), dense) for each in results)
    assert after < 0.8 * before
    small = run_pass(FoldChannels(), results[1].model).model
    np.testing.assert_allclose(run(small, feeds, "y"), run(results[1].model, feeds, "y"), atol=1e-4)


def test_a_run_goes_on_behind_repaired_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, feeds = made(RESIDUAL, RESIDUAL_WEIGHTS), [{"x": MIXED}]
    options = {"repair": ["drift", "least-squares"], "resume_in": tmp_path}
    first = prune_channels(model, recipe(0.4), feeds, **options)  # type: ignore[arg-type]
    monkeypatch.setattr(Pruner, "_solved", None)
    again = prune_channels(model, recipe(0.4), feeds, **options)  # type: ignore[arg-type]
    assert [constant(again.model, name).tolist() for name in RESIDUAL_WEIGHTS] == [
        constant(first.model, name).tolist() for name in RESIDUAL_WEIGHTS
    ]
    with pytest.raises(InputError, match="GP585"):
        prune_channels(model, recipe(0.3), feeds, **options)  # type: ignore[arg-type]


def test_repairs_are_checked_first() -> None:
    model, feeds = made(MLP, WEIGHTS), [{"x": MIXED}]
    with pytest.raises(InputError, match="GP586"):
        prune_channels(model, recipe(), feeds, repair=["biases"])
    with pytest.raises(InputError, match="GP596"):
        prune_channels(model, recipe(), feeds, repair=["damping"])
    with pytest.raises(InputError, match="GP595"):
        prune_channels(model, recipe(), [{"x": MIXED[:2]}], repair=["blocks"])
