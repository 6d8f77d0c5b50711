"""Hardening: exact counts, the weight's own values, and what the soft mask hid."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx.parser
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.errors import PreconditionError, RecipeError
from graphprune.masked.calls import mask_calls
from graphprune.masked.functions import function_text
from graphprune.masked.hardening import harden, soft_mask
from graphprune.passes.base import run_pass
from graphprune.passes.harden_masks import HardenMasks
from graphprune.passes.prune_weights import PruneWeights
from graphprune.passes.registry import parse_pass
from graphprune.planning.planner import plan
from graphprune.planning.recipe import Recipe
from graphprune.stages.stage import Stage, get_stage, set_stage
from graphprune.testing.check_pass import canonical_text, check_pass
from graphprune.testing.models import build
from tests.passes.test_insert_soft_masks import CASES, MATMUL, RECIPES, masking
from tests.weighted import weight_of, weighted_model


def masked(model: ir.Model, temperature: str = "0.1t2", ratio: float = 1.0, **recipe: Any) -> ir.Model:  # noqa: ANN401
    return run_pass(masking(model, temperature, ratio, **recipe), model).model


def pruned(model: ir.Model, **recipe: Any) -> ir.Model:  # noqa: ANN401 - recipe keys
    return run_pass(PruneWeights(plan(model, Recipe(**recipe))), model).model


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
@pytest.mark.parametrize("text", CASES.values(), ids=CASES)
def test_it_is_what_pruning_the_weights_gives(text: str, recipe: dict[str, Any]) -> None:
    model = weighted_model(text)
    result = check_pass(HardenMasks(), masked(model, **recipe), pruned(model, **recipe))
    assert get_stage(result.model) is Stage.SPARSE
    assert not result.model.functions
    assert "graphprune" not in result.model.graph.opset_imports


@given(sparsity=st.floats(0, 0.95), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_ties_go_by_index(sparsity: float, seed: int) -> None:
    array = np.random.default_rng(seed).integers(-3, 4, (8, 16)).astype(np.float32)
    model = weighted_model(MATMUL, {"w": array})
    after = weight_of(run_pass(HardenMasks(), masked(model, sparsity=sparsity)).model, "w").ravel()
    expected = array.copy().ravel()
    expected[np.argsort(np.abs(expected), kind="stable")[: round(128 * sparsity)]] = 0
    np.testing.assert_array_equal(after, expected)


@pytest.mark.parametrize("temperature", ["0.001", "0.1t2", "1t2"])
def test_the_report_is_what_the_mask_hides(temperature: str) -> None:
    model = weighted_model(MATMUL)
    (call,) = mask_calls(masked(model, temperature))
    weight = weight_of(model, "w").astype(np.float64)
    order = np.sort(np.abs(weight), axis=None)
    limit = 0.5 * (order[95] + order[96])
    width = call.temperature.value * (limit**2 if call.temperature.relative else 1)
    with np.errstate(over="ignore"):
        mask = 1 / (1 + np.exp((limit**2 - weight**2) / width))
    np.testing.assert_allclose(soft_mask(call), mask, atol=1e-4)
    hard = np.where(np.abs(weight) > limit, weight, 0)
    found = harden(call)
    np.testing.assert_array_equal(found.array, hard.astype(np.float32))
    assert found.zeros == 96
    assert found.gap == pytest.approx(np.linalg.norm(mask * weight - hard) / np.linalg.norm(hard), rel=1e-3, abs=1e-6)
    assert found.undecided == np.mean((mask > 0.01) & (mask < 0.99))


def test_the_rewrite_has_the_report() -> None:
    array = np.array([[4, -1], [1, 3]] * 4, np.float32).repeat(8, axis=1)
    model = weighted_model(MATMUL, {"w": array})
    (rewrite,) = run_pass(HardenMasks(), masked(model, "2", sparsity=0.5)).rewrites
    assert (rewrite.rule, rewrite.node) == ("hard-mask", "w")
    assert rewrite.detail == ("64 of 128 elements are zero (50.0%), soft-to-hard gap 6.88e-02, 75.00% undecided")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "double"])
def test_other_floating_types_keep_theirs(dtype: str) -> None:
    model = weighted_model(MATMUL.replace("float", dtype))
    after = weight_of(run_pass(HardenMasks(), masked(model)).model, "w")
    assert after.dtype == {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "double": np.float64}[dtype]
    assert np.count_nonzero(after == 0) == 96


def test_the_weight_of_a_constant_node() -> None:
    text = """main (float[N,2] x) => (float[N,2] y) {
        k = Constant <value = float[2,2] {%s}> ()
        y = MatMul (x, k)
    }"""
    expected = weighted_model(text % "4,0,0,3")
    set_stage(expected, Stage.SPARSE)
    found = run_pass(HardenMasks(), masked(weighted_model(text % "4,1,2,3"), sparsity=0.5)).model
    assert canonical_text(found) == canonical_text(expected)


def test_values_trained_meanwhile_are_kept() -> None:
    model = masked(weighted_model(MATMUL), sparsity=0.5)
    trained = np.random.default_rng(9).standard_normal((8, 16)).astype(np.float32)
    model.graph.initializers["w"].const_value = ir.tensor(trained, name="w")
    after = weight_of(run_pass(HardenMasks(), model).model, "w")
    assert np.count_nonzero(after == 0) == 64
    np.testing.assert_array_equal(after[after != 0], trained[after != 0])


@pytest.mark.parametrize("name", ["resnet_tiny", "bert_tiny"])
def test_real_architectures(name: str) -> None:
    model = build(name)
    found = run_pass(HardenMasks(), masked(model, "1e-4", sparsity=0.9, scope="global")).model
    assert canonical_text(found) == canonical_text(pruned(model, sparsity=0.9, scope="global"))


def test_a_ramp_that_has_not_ended_is_named() -> None:
    message = r"harden-masks: the ramp of 'w' has not ended: its ratio is 0.3, expected 1; .* \[GP366\]"
    with pytest.raises(PreconditionError, match=message):
        run_pass(HardenMasks(), masked(weighted_model(MATMUL), ratio=0.3))


def test_force_prunes_the_whole_budget() -> None:
    model = weighted_model(MATMUL)
    check_pass(HardenMasks(force=True), masked(model, ratio=0.3), pruned(model, sparsity=0.75))


def test_a_mask_of_somebody_else_is_named() -> None:
    model = masked(weighted_model(MATMUL))
    text = function_text("UnstructuredSoftMask", 18).replace("Unstructured", "Other")
    other = ir.serde.deserialize_function(onnx.parser.parse_function(text))
    model.functions[other.identifier()] = other
    next(node for node in model.graph if node.domain == "graphprune").op_type = "OtherSoftMask"
    message = r"harden-masks: node 'w_mask' \(OtherSoftMask\) is no mask that can be hardened \[GP367\]"
    with pytest.raises(PreconditionError, match=message):
        run_pass(HardenMasks(), model)


def test_a_weight_that_is_not_finite_is_named() -> None:
    model = masked(weighted_model(MATMUL))
    array = np.ones((8, 16), np.float32)
    array[0, 0] = np.nan
    model.graph.initializers["w"].const_value = ir.tensor(array, name="w")
    with pytest.raises(RecipeError, match=r"weight 'w' holds NaN or an infinity .* \[GP323\]"):
        run_pass(HardenMasks(), model)


def test_text_form_goes_both_ways() -> None:
    assert str(HardenMasks()) == "harden-masks"
    assert parse_pass("harden-masks{force=true}") == HardenMasks(force=True)


@pytest.mark.parametrize("stage", [Stage.DENSE, Stage.SPARSE, Stage.PACKED])
def test_other_stages_are_refused(stage: Stage) -> None:
    model = weighted_model(MATMUL)
    set_stage(model, stage)
    with pytest.raises(PreconditionError, match=r"harden-masks: model is in stage .* \[GP255\]"):
        run_pass(HardenMasks(), model)


def test_a_model_without_masks_only_changes_its_stage() -> None:
    model = weighted_model(MATMUL)
    set_stage(model, Stage.MASKED)
    result = check_pass(HardenMasks(), model)
    assert [str(rewrite) for rewrite in result.rewrites] == ["stage: main: masked to sparse"]
