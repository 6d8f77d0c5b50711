"""Pruning: exact counts, what is left alone, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphprune.diagnostics import Rewrite
from graphprune.errors import InputError, PreconditionError, RecipeError
from graphprune.passes.base import run_pass
from graphprune.passes.prune_weights import PruneWeights
from graphprune.passes.registry import parse_pass
from graphprune.planning.planner import plan
from graphprune.planning.pruning_plan import PruningPlan
from graphprune.planning.recipe import Recipe
from graphprune.stages.stage import Stage, get_stage, set_stage
from graphprune.testing.check_pass import check_pass
from tests.weighted import weight_of, weighted_model

MATMUL = "main (float[N,10] x, float[10,20] w) => (float[N,20] y) { y = MatMul (x, w) }"
CASES = {
    "matmul": MATMUL,
    "dynamic batch and sequence": "main (float[B,S,8] x, float[8,8] w) => (float[B,S,8] y) { y = MatMul (x, w) }",
    "linear as torch exports it": (
        "main (float[N,10] x, float[20,10] w) => (float[N,20] y) { t = Transpose (w) y = MatMul (x, t) }"
    ),
    "matrix from the left": "main (float[10,N] x, float[20,10] w) => (float[20,N] y) { y = MatMul (w, x) }",
    "gemm": "main (float[N,10] x, float[10,20] w) => (float[N,20] y) { y = Gemm <alpha = 0.5> (x, w) }",
    "gemm transB": "main (float[N,10] x, float[20,10] w) => (float[N,20] y) { y = Gemm <transB = 1> (x, w) }",
    "convolution": "main (float[N,8,6,6] x, float[4,8,3,3] w) => (float[N,4,4,4] y) { y = Conv (x, w) }",
    "several consumers": """main (float[N,8] x, float[8,8] w) => (float[N,8] y) {
        a = MatMul (x, w)
        y = Gemm (a, w)
    }""",
}


def pruning(model: ir.Model, sparsity: float = 0.75, **options: Any) -> PruneWeights:  # noqa: ANN401 - recipe keys
    return PruneWeights(plan(model, Recipe(sparsity=sparsity, **options)))


@pytest.mark.parametrize("text", CASES.values(), ids=CASES)
def test_exact_count_of_the_smallest(text: str) -> None:
    model = weighted_model(text)
    result = check_pass(pruning(model), model)
    before, after = weight_of(model, "w"), weight_of(result.model, "w")
    pruned = after == 0
    assert np.count_nonzero(pruned) == round(before.size * 0.75)
    assert np.abs(before[pruned]).max() <= np.abs(before[~pruned]).min()
    np.testing.assert_array_equal(after[~pruned], before[~pruned])
    assert get_stage(result.model) is Stage.SPARSE


def test_the_rewrite_says_how_many() -> None:
    result = check_pass(pruning(weighted_model(MATMUL)), weighted_model(MATMUL))
    assert result.rewrites == (Rewrite("magnitude", "w", "150 of 200 elements set to zero (75.0%, unstructured)"),)


@given(st.floats(0, 0.99), st.integers(0, 2**32 - 1))
def test_ties_go_by_index(sparsity: float, seed: int) -> None:
    array = np.random.default_rng(seed).integers(-3, 4, (10, 20)).astype(np.float32)
    model = weighted_model(MATMUL, {"w": array})
    after = weight_of(run_pass(pruning(model, sparsity), model).model, "w").ravel()
    expected = array.copy().ravel()
    expected[np.argsort(np.abs(expected), kind="stable")[: round(200 * sparsity)]] = 0
    np.testing.assert_array_equal(after, expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "double"])
def test_other_floating_types_keep_theirs(dtype: str) -> None:
    model = weighted_model(MATMUL.replace("float", dtype))
    after = weight_of(run_pass(pruning(model), model).model, "w")
    assert after.dtype == {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "double": np.float64}[dtype]
    assert np.count_nonzero(after == 0) == 150


def test_the_weight_of_a_constant_node() -> None:
    text = "main (float[N,2] x) => (float[N,2] y) { k = Constant <value = float[2,2] {4,1,2,3}> () y = MatMul (x, k) }"
    model = weighted_model(text)
    result = check_pass(pruning(model, 0.5), model, weighted_model_in_stage(text.replace("1,2", "0,0")))
    assert [rewrite.node for rewrite in result.rewrites] == ["k"]


def weighted_model_in_stage(text: str) -> ir.Model:
    model = weighted_model(text)
    set_stage(model, Stage.SPARSE)
    return model


def test_a_global_plan_gives_each_layer_its_share() -> None:
    text = """main (float[N,9] x, float[9,9] w_a, float[9,9] w_b) => (float[N,9] y) {
        a = MatMul (x, w_a)
        y = MatMul (a, w_b)
    }"""
    weights: dict[str, npt.NDArray[Any]] = {
        "w_a": np.arange(1, 82, dtype=np.float32).reshape(9, 9),
        "w_b": np.arange(41, 122, dtype=np.float32).reshape(9, 9),
    }
    model = weighted_model(text, weights)
    after = check_pass(pruning(model, 0.5, scope="global"), model).model
    assert [np.count_nonzero(weight_of(after, name) == 0) for name in ("w_a", "w_b")] == [61, 20]


@pytest.mark.parametrize(("zeros", "reason"), [(150, "has 150 zeros"), (180, "has 180 zeros")])
def test_a_weight_with_enough_zeros_is_left_alone(zeros: int, reason: str) -> None:
    array = np.random.default_rng(0).standard_normal((10, 20)).astype(np.float32)
    array.ravel()[:zeros] = -0.0
    model = weighted_model(MATMUL, {"w": array})
    result = check_pass(pruning(model), model)
    assert [str(skip) for skip in result.skips] == [f"w: {reason} of 200 already, the plan asks for 150 [GP335]"]
    assert result.rewrites == (Rewrite("stage", "main", "dense to sparse"),)
    assert weight_of(result.model, "w").tobytes() == array.tobytes()


def test_zeros_that_are_there_count() -> None:
    array = np.random.default_rng(0).standard_normal((10, 20)).astype(np.float32)
    array.ravel()[:100] = 0
    model = weighted_model(MATMUL, {"w": array})
    after = weight_of(check_pass(pruning(model), model).model, "w")
    assert np.count_nonzero(after == 0) == 150


def test_text_form_goes_both_ways() -> None:
    pass_ = pruning(weighted_model(MATMUL))
    assert str(pass_).startswith("prune-weights{plan={")
    assert parse_pass(str(pass_)) == pass_


def test_text_form_may_name_a_file(tmp_path: Path) -> None:
    pass_ = pruning(weighted_model(MATMUL))
    pass_.plan.save(tmp_path / "plan.yaml")
    assert PruneWeights.from_options({"plan": str(tmp_path / "plan.yaml")}) == pass_


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"prune-weights: option 'plan' is missing \[GP243\]"),
        ({"plan": 3}, r"prune-weights: option 'plan' is 3, expected a plan or a file \[GP243\]"),
        ({"sparsity": 0.9}, r"prune-weights: unknown option 'sparsity', .* \[GP243\]"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PruneWeights.from_options(options)


def test_a_wrong_plan_in_text_is_named() -> None:
    with pytest.raises(RecipeError, match=r"pruning plan: key 'model' is missing \[GP320\]"):
        PruneWeights.from_options({"plan": {"weights": []}})


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_is_named(bad: float) -> None:
    array = np.ones((10, 20), np.float32)
    array[3, 3] = bad
    model = weighted_model(MATMUL, {"w": array})
    with pytest.raises(RecipeError, match=r"weight 'w' holds NaN or an infinity .* \[GP323\]"):
        run_pass(pruning(model), model)


def test_a_plan_for_another_model_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"plan: weight 'w' has shape .* \[GP324\]"):
        run_pass(pruning(weighted_model(MATMUL)), weighted_model(CASES["gemm transB"]))


@pytest.mark.parametrize("stage", [Stage.MASKED, Stage.PACKED])
def test_other_stages_are_refused(stage: Stage) -> None:
    model = weighted_model(MATMUL)
    pass_ = pruning(model)
    set_stage(model, stage)
    with pytest.raises(PreconditionError, match=r"prune-weights: model is in stage .* \[GP255\]"):
        run_pass(pass_, model)


def test_an_edited_plan_is_followed() -> None:
    model = weighted_model(MATMUL)
    data = plan(model, Recipe(sparsity=0.75)).model_dump()
    data["weights"] = [{**data["weights"][0], "sparsity": 0.1}]
    del data["weights"][0]["pruned"]
    after = check_pass(PruneWeights(PruningPlan(**data)), model).model
    assert np.count_nonzero(weight_of(after, "w") == 0) == 20


QUANTIZED = """main (float[N,8] x, uint8[8,6] w, float[6] w_s, uint8[6] w_zs) => (float[N,6] y) {
    d = DequantizeLinear <axis = 1> (w, w_s, w_zs)
    y = MatMul (x, d)
}"""


@pytest.mark.parametrize("options", [{"sparsity": 0.5}, {"sparsity": 0.5, "scope": "global"}, {"pattern": "2:4"}])
def test_integers_become_the_zero_point_by_what_they_stand_for(options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    integers = rng.integers(0, 256, (8, 6), np.uint8)
    scale, zero = np.array([1, 2, 4, 8, 16, 32], "float32"), np.full(6, 128, np.uint8)
    model = weighted_model(QUANTIZED, {"w": integers, "w_s": scale, "w_zs": zero})
    result = run_pass(PruneWeights(plan(model, Recipe(**options))), model)
    after = weight_of(result.model, "w")
    assert after.dtype == np.uint8
    gone = after != integers
    assert np.array_equal(after[~gone], integers[~gone])
    assert (after[gone] == 128).all()
    zeros = after == 128
    assert np.count_nonzero(zeros) == 24
    real = np.abs((integers.astype("float32") - 128) * scale)
    if "pattern" in options:
        assert (zeros.reshape(2, 4, 6).sum(axis=1) == 2).all()
    else:
        assert real[zeros].max() <= real[~zeros].min()


def test_integers_of_4_bits_in_blocks_become_the_zero_point_of_their_block() -> None:
    text = """<ir_version: 10, opset_import: ["" : 21]>
    main (float[N,8] x, int4[8,6] w, float[2,6] w_s, int4[2,6] w_zs) => (float[N,6] y) {
        d = DequantizeLinear <axis = 0, block_size = 4> (w, w_s, w_zs)
        y = MatMul (x, d)
    }"""
    rng = np.random.default_rng(0)
    integers = rng.integers(-8, 8, (8, 6)).astype(ml_dtypes.int4)
    scale, zero = rng.uniform(1, 9, (2, 6)).astype("float32"), np.array([[1] * 6, [-2] * 6]).astype(ml_dtypes.int4)
    model = weighted_model(text, {"w": integers, "w_s": scale, "w_zs": zero})
    after = weight_of(run_pass(PruneWeights(plan(model, Recipe(sparsity=0.5))), model).model, "w")
    levels, points = after.astype(int), zero.astype(int).repeat(4, 0)
    assert after.dtype == integers.dtype
    assert np.count_nonzero(levels == points) == 24
    real = np.abs((integers.astype(int) - points) * scale.repeat(4, 0))
    assert real[levels == points].max() <= real[levels != points].min()


def test_both_weights_of_a_recurrent_node_are_pruned_a_direction_as_any_matrix() -> None:
    text = """main (float[9,N,8] x, float[2,16,8] w, float[2,16,4] w_r) => (float[9,2,N,4] y) {
        y = LSTM <hidden_size = 4, direction = "bidirectional"> (x, w, w_r) }"""
    model = weighted_model(text)
    result = run_pass(PruneWeights(plan(model, Recipe(pattern="1:4"))), model)
    for name in ("w", "w_r"):
        groups = weight_of(result.model, name).reshape(-1, 4)
        assert (np.count_nonzero(groups, axis=1) == 1).all()
