"""Inserting soft masks: every reader reads the masked weight, and the file runs anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.backends.onnxruntime import session_for, session_for_file
from graphprune.diagnostics import Rewrite
from graphprune.errors import InputError, PreconditionError, RecipeError
from graphprune.frontends.onnx_file import load, save
from graphprune.masks.patterns import parse_pattern
from graphprune.masks.pdp import soft_masked
from graphprune.masks.temperature import parse_temperature
from graphprune.passes.base import run_pass
from graphprune.passes.fold_constants import FoldConstants
from graphprune.passes.insert_soft_masks import InsertSoftMasks
from graphprune.passes.pipeline import Pipeline
from graphprune.passes.registry import parse_pass
from graphprune.passes.remove_identities import RemoveIdentities
from graphprune.planning.channels.plan import ChannelPlan
from graphprune.planning.planner import plan
from graphprune.planning.pruning_plan import PruningPlan
from graphprune.planning.recipe import Recipe
from graphprune.stages.stage import Stage, get_stage, set_stage
from graphprune.testing.check_pass import check_pass, open_feeds
from graphprune.testing.models import build
from graphprune.verification.feeds import random_feed
from tests.weighted import weight_of, weighted_model

MATMUL = "main (float[N,8] x, float[8,16] w) => (float[N,16] y) { y = MatMul (x, w) }"
CASES = {
    "matmul": MATMUL,
    "open batch and sequence": "main (float[B,S,8] x, float[8,8] w) => (float[B,S,8] y) { y = MatMul (x, w) }",
    "linear as torch exports it": (
        "main (float[N,8] x, float[16,8] w) => (float[N,16] y) { t = Transpose (w) y = MatMul (x, t) }"
    ),
    "matrix from the left": "main (float[8,N] x, float[16,8] w) => (float[16,N] y) { y = MatMul (w, x) }",
    "gemm": "main (float[N,8] x, float[8,16] w) => (float[N,16] y) { y = Gemm <alpha = 0.5> (x, w) }",
    "gemm transB": "main (float[N,8] x, float[16,8] w) => (float[N,16] y) { y = Gemm <transB = 1> (x, w) }",
    "convolution": "main (float[N,8,6,6] x, float[4,8,3,3] w) => (float[N,4,4,4] y) { y = Conv (x, w) }",
    "several consumers": """main (float[N,8] x, float[8,8] w) => (float[N,8] y) {
        a = MatMul (x, w)
        y = Gemm (a, w)
    }""",
    "read directly and transposed": """main (float[N,8] x, float[8,8] w) => (float[N,8] y) {
        t = Transpose (w)
        a = MatMul (x, t)
        y = MatMul (a, w)
    }""",
}
RECIPES = [{"sparsity": 0.75}, {"pattern": "2:4"}, {"sparsity": 0.5, "pattern": "block 4x2"}]


def masking(model: ir.Model, temperature: str = "0.1t2", ratio: float = 1.0, **recipe: Any) -> InsertSoftMasks:  # noqa: ANN401
    return InsertSoftMasks(plan(model, Recipe(**recipe or {"sparsity": 0.75})), temperature, ratio)


def reference(pass_: InsertSoftMasks, model: ir.Model) -> ir.Model:
    """The model with torch's masked weights in place of its own."""
    clone = model.clone()
    for planned in pass_.plan.weights:
        tensor = torch.from_numpy(np.array(weight_of(model, planned.name)))
        masked = soft_masked(
            tensor,
            pattern=parse_pattern(planned.pattern),
            axes=planned.axes,
            budget=planned.sparsity,
            ratio=pass_.ratio,
            temperature=parse_temperature(pass_.temperature),
        )
        clone.graph.initializers[planned.name].const_value = ir.tensor(masked.numpy(), name=planned.name)
    return clone


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
@pytest.mark.parametrize("text", CASES.values(), ids=CASES)
def test_all_readers_read_the_masked_weight(text: str, recipe: dict[str, Any]) -> None:
    model = weighted_model(text)
    pass_ = masking(model, ratio=0.7, **recipe)
    result = check_pass(pass_, model, reference=reference(pass_, model))
    onnx.checker.check_model(ir.to_proto(result.model), full_check=True)
    weight = result.model.graph.initializers["w"]
    assert [use.node.op_type.endswith("SoftMask") for use in weight.uses()] == [True]
    assert weight_of(result.model, "w").tobytes() == weight_of(model, "w").tobytes()
    assert get_stage(result.model) is Stage.MASKED


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
@pytest.mark.parametrize("text", CASES.values(), ids=CASES)
def test_at_ratio_zero_nothing_changes_bit_for_bit(text: str, recipe: dict[str, Any]) -> None:
    model = weighted_model(text)
    masked = run_pass(masking(model, ratio=0.0, **recipe), model).model
    before, after = session_for(model, optimize=False), session_for(masked, optimize=False)
    for feed in open_feeds(model, 2):
        assert before.run(None, feed)[0].tobytes() == after.run(None, feed)[0].tobytes()


def test_the_rewrite_says_what_will_go() -> None:
    model = weighted_model(MATMUL)
    detail = "96 of 128 elements are to go (unstructured, ratio 0.3, temperature 0.1t2)"
    pass_ = masking(model, ratio=0.3)
    assert run_pass(pass_, model).rewrites == (Rewrite("soft-mask", "w", detail),)


def test_the_scalars_are_the_schedule() -> None:
    model = weighted_model(MATMUL)
    masked = run_pass(masking(model, "1e-6", 0.0), model).model
    feed = {"x": np.eye(8, dtype=np.float32)}
    counts = []
    for ratio in (0.0, 0.25, 1.0):
        masked.graph.initializers["w_ratio"].const_value = ir.tensor(np.array(ratio), name="w_ratio")
        (y,) = session_for(masked).run(None, feed)
        counts.append(int(np.count_nonzero(np.abs(y) < 1e-6)))
    assert counts == [0, 24, 96]


def test_names_that_are_taken_are_left_alone() -> None:
    text = """main (float[N,8] w_masked, float[8,16] w, float[8] w_budget) => (float[N,16] y) {
        a = Add (w_masked, w_budget)
        y = MatMul (a, w)
    }"""
    model = weighted_model(text.replace("w_masked", "x"))
    pass_ = masking(model)
    result = check_pass(pass_, model, reference=reference(pass_, model))
    assert {"w_budget", "w_budget_1", "w_ratio", "w_temperature"} <= set(result.model.graph.initializers)


def test_the_weight_of_a_constant_node() -> None:
    text = """main (float[N,2] x) => (float[N,2] y) {
        k = Constant <value = float[2,2] {4,1,2,3}> ()
        y = MatMul (x, k)
    }"""
    model = weighted_model(text)
    masked = run_pass(masking(model, "1e-6", sparsity=0.5), model).model
    (y,) = session_for(masked).run(None, {"x": np.eye(2, dtype=np.float32)})
    np.testing.assert_allclose(y, [[4, 0], [0, 3]], atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "double"])
def test_other_floating_types_keep_theirs(dtype: str) -> None:
    model = weighted_model(MATMUL.replace("float", dtype))
    masked = run_pass(masking(model, "1e-6"), model).model
    (call,) = [node for node in masked.graph if node.domain == "graphprune"]
    assert call.outputs[0].dtype == model.graph.initializers["w"].dtype
    eye = np.eye(8, dtype={"float16": np.float16, "double": np.float64}[dtype])
    (y,) = session_for(masked).run(None, {"x": eye})
    assert np.count_nonzero(np.abs(y) < 1e-6) == 96


def test_a_bfloat16_model_is_valid() -> None:
    model = weighted_model(MATMUL.replace("float", "bfloat16"))
    masked = run_pass(masking(model), model).model
    onnx.checker.check_model(ir.to_proto(masked), full_check=True)


def test_folding_constants_leaves_masks() -> None:
    model = weighted_model(CASES["linear as torch exports it"])
    masked = run_pass(masking(model), model).model
    same = Pipeline([FoldConstants(), RemoveIdentities()]).run(masked).model
    feed = open_feeds(model, 1)[0]
    np.testing.assert_array_equal(session_for(same).run(None, feed)[0], session_for(masked).run(None, feed)[0])
    assert next(node.op_type for node in same.graph) == "UnstructuredSoftMask"


@pytest.mark.parametrize("optimize", [False, True])
def test_a_file_is_read_back_and_runs_in_onnx_runtime(tmp_path: Path, *, optimize: bool) -> None:
    model = weighted_model(CASES["convolution"])
    masked = run_pass(masking(model), model).model
    save(masked, tmp_path / "m.onnx")
    again = load(tmp_path / "m.onnx")
    feed = open_feeds(model, 1)[0]
    found = session_for_file(tmp_path / "m.onnx", optimize=optimize).run(None, feed)[0]
    np.testing.assert_allclose(found, session_for(again).run(None, feed)[0], rtol=1e-5, atol=1e-5)
    assert get_stage(again) is Stage.MASKED


@pytest.mark.parametrize("name", ["resnet_tiny", "bert_tiny"])
@pytest.mark.parametrize("recipe", [RECIPES[0], RECIPES[1]], ids=str)
def test_real_architectures(name: str, recipe: dict[str, Any]) -> None:
    model = build(name)
    pass_ = masking(model, "1e-4", **recipe)
    masked = run_pass(pass_, model).model
    feed = random_feed(masked)
    for found, expected in zip(
        session_for(masked).run(None, feed), session_for(reference(pass_, model)).run(None, feed), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * float(np.abs(expected).max()))


@given(sparsity=st.floats(0, 0.95), ratio=st.floats(0, 1), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_any_share_of_any_weight(sparsity: float, ratio: float, seed: int) -> None:
    model = weighted_model(MATMUL, seed=seed)
    pass_ = masking(model, ratio=ratio, sparsity=sparsity)
    check_pass(pass_, model, reference=reference(pass_, model), cases=1)


def test_text_form_goes_both_ways() -> None:
    pass_ = masking(weighted_model(MATMUL), "0.1t2", 0.5)
    assert 'temperature="0.1t2" ratio=0.5' in str(pass_)
    assert parse_pass(str(pass_)) == pass_


def test_a_temperature_may_be_a_number_and_a_plan_a_file(tmp_path: Path) -> None:
    pass_ = masking(weighted_model(MATMUL), "0.001")
    pass_.plan.save(tmp_path / "plan.yaml")
    assert InsertSoftMasks.from_options({"plan": str(tmp_path / "plan.yaml"), "temperature": 0.001}) == pass_


@pytest.mark.parametrize("ratio", [-0.1, 1.5, float("nan")])
def test_a_ratio_out_of_range_is_named(ratio: float) -> None:
    with pytest.raises(InputError, match=r"insert-soft-masks: ratio is .*, expected 0 to 1 \[GP369\]"):
        masking(weighted_model(MATMUL), ratio=ratio)


def test_a_temperature_that_is_none_is_named() -> None:
    with pytest.raises(RecipeError, match=r"temperature is 'warm', expected a number .* \[GP328\]"):
        masking(weighted_model(MATMUL), "warm")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_is_named(bad: float) -> None:
    array: npt.NDArray[Any] = np.ones((8, 16), np.float32)
    array[3, 3] = bad
    model = weighted_model(MATMUL, {"w": array})
    with pytest.raises(RecipeError, match=r"weight 'w' holds NaN or an infinity .* \[GP323\]"):
        run_pass(masking(model), model)


def test_a_plan_for_another_model_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"plan: weight 'w' has shape .* \[GP324\]"):
        run_pass(masking(weighted_model(MATMUL)), weighted_model(CASES["gemm transB"]))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"sparsity": 0.999}, r"weight 'w' cannot be masked: it has 128 elements, of which all would go .* \[GP322\]"),
        (
            {"pattern": "block 3x1"},
            r"weight 'w' cannot be masked: it has 16 outputs .* no multiple of 3 by 1, .* \[GP329\]",
        ),
    ],
)
def test_an_edited_plan_that_does_not_fit_is_refused(edit: dict[str, Any], message: str) -> None:
    model = weighted_model(MATMUL)
    data = plan(model, Recipe(sparsity=0.75)).model_dump()
    data["weights"] = [{**data["weights"][0], **edit}]
    del data["weights"][0]["pruned"]
    with pytest.raises(RecipeError, match=message):
        run_pass(InsertSoftMasks(PruningPlan(**data)), model)


def test_channels_are_refused_by_name() -> None:
    model = weighted_model(MATMUL)
    group = ChannelPlan(group="w", size=16, sparsity=0.5)
    channels = plan(model, Recipe(sparsity=0.75)).model_copy(update={"channels": (group,)})
    with pytest.raises(PreconditionError, match=r"the plan has channels \(group 'w'\).* \[GP368\]"):
        run_pass(InsertSoftMasks(channels), model)


def test_rows_have_no_soft_mask() -> None:
    model = weighted_model(MATMUL)
    rows = plan(model, Recipe(sparsity=0.75, scope="row"))
    with pytest.raises(PreconditionError, match=r"weight 'w' has pattern 'unstructured rows'.* \[GP368\]"):
        run_pass(InsertSoftMasks(rows), model)


def test_an_older_operator_set_is_refused() -> None:
    model = weighted_model(MATMUL)
    model.graph.opset_imports[""] = 13
    with pytest.raises(PreconditionError, match=r"model has operator set 13, soft masks need 15 \[GP365\]"):
        run_pass(masking(model), model)


@pytest.mark.parametrize("stage", [Stage.SPARSE, Stage.MASKED, Stage.PACKED])
def test_other_stages_are_refused(stage: Stage) -> None:
    model = weighted_model(MATMUL)
    pass_ = masking(model)
    set_stage(model, stage)
    with pytest.raises(PreconditionError, match=r"insert-soft-masks: model is in stage .* \[GP255\]"):
        run_pass(pass_, model)


def test_integers_take_no_soft_mask() -> None:
    text = """main (float[N,8] x, int8[8,4] w, float[1] w_s) => (float[N,4] y) {
        d = DequantizeLinear (w, w_s) y = MatMul (x, d) }"""
    model = weighted_model(text, {"w": np.ones((8, 4), np.int8), "w_s": np.ones(1, np.float32)})
    with pytest.raises(
        RecipeError, match=r"weight 'w' cannot be masked: it holds int8, which cannot be trained .GP353"
    ):
        run_pass(InsertSoftMasks(plan=plan(model, Recipe(sparsity=0.5))), model)
