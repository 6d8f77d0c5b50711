"""From recipe and model to plan."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphprune.errors import RecipeError
from graphprune.planning.planner import plan, unfit_weights
from graphprune.planning.pruning_plan import PruningPlan
from graphprune.planning.recipe import Recipe, Rule, Scope
from tests.weighted import weighted_model

MODEL = """
main (float[N,3,6,6] x, float[8,3,3,3] w_stem, float[16,8,3,3] w_body, int64[N] ids, float[9,16] w_table,
      float[256,10] w_head) => (float[N,10] y, float[N,16] z) {
  a = Conv (x, w_stem)
  b = Conv (a, w_body)
  c = Flatten (b)
  [head_node] y = MatMul (c, w_head)
  z = Gather (w_table, ids)
}
""".replace("256", "64")


Weights = dict[str, npt.NDArray[Any]]


def planned(recipe: Recipe, weights: Weights | None = None) -> dict[str, int]:
    return {weight.name: weight.pruned for weight in plan(weighted_model(MODEL, weights), recipe).weights}


def test_the_default_scope_leaves_the_stem_and_the_embedding() -> None:
    assert planned(Recipe(sparsity=0.9)) == {"w_body": 1037, "w_head": 576}


def test_an_entry_says_everything() -> None:
    entry = plan(weighted_model(MODEL), Recipe(sparsity=0.9)).weights[0]
    assert entry.model_dump() == {
        "name": "w_body",
        "shape": (16, 8, 3, 3),
        "output_axis": 0,
        "input_axis": 1,
        "pattern": "unstructured",
        "criterion": "magnitude",
        "sparsity": 0.9,
        "pruned": 1037,
    }


@pytest.mark.parametrize("target", ["w_head", "w_h*", "re:w_head", "head_node", "MatMul"])
def test_targets_by_weight_node_or_operator(target: str) -> None:
    assert planned(Recipe(sparsity=0.5, targets=(target,))) == {"w_head": 320}


@pytest.mark.parametrize("pattern", ["w_head", "w_h*", "re:w_head", "head_node", "MatMul"])
def test_ignore_by_weight_node_or_operator(pattern: str) -> None:
    assert planned(Recipe(sparsity=0.5, ignore=(pattern,))) == {"w_body": 576}


def test_only_an_exact_name_goes_beyond_the_default_scope() -> None:
    assert planned(Recipe(sparsity=0.5, targets=("w_*",))) == {"w_body": 576, "w_head": 320}
    assert planned(Recipe(sparsity=0.5, targets=("w_stem",))) == {"w_stem": 108}


def test_ignoring_what_stays_dense_anyway_is_no_error() -> None:
    assert planned(Recipe(sparsity=0.5, ignore=("w_table", "w_stem"))) == {"w_body": 576, "w_head": 320}


def test_the_first_rule_that_names_a_weight_holds() -> None:
    rules = (Rule(targets=("w_head",), sparsity=0.1), Rule(targets=("*",), sparsity=0.75))
    assert planned(Recipe(rules=rules)) == {"w_body": 864, "w_head": 64}
    assert planned(Recipe(sparsity=0.9, rules=rules[:1])) == {"w_body": 1037, "w_head": 64}
    assert planned(Recipe(rules=rules[:1])) == {"w_head": 64}


def test_a_rule_inherits_what_it_leaves_out() -> None:
    recipe = Recipe(sparsity=0.5, rules=(Rule(targets=("w_head",)),))
    assert planned(recipe) == {"w_body": 576, "w_head": 320}


def small_and_large(small: float = 1.0) -> Weights:
    rng = np.random.default_rng(0)
    head = (rng.uniform(1, 2, (64, 10)) * small).astype(np.float32)
    return {"w_head": head, "w_body": rng.uniform(1, 2, (16, 8, 3, 3)).astype(np.float32)}


def test_global_scope_has_one_threshold() -> None:
    weights = small_and_large(small=1.2)
    everything = np.sort(np.concatenate([weights["w_body"].ravel(), weights["w_head"].ravel()]))
    limit = everything[896 - 1]
    expected = {name: int(np.count_nonzero(weights[name] <= limit)) for name in ("w_body", "w_head")}
    assert planned(Recipe(sparsity=0.5, scope="global"), weights) == expected
    assert sum(expected.values()) == 896


def test_global_ties_go_in_the_order_of_weights() -> None:
    equal = {"w_head": np.ones((64, 10), np.float32), "w_body": -np.ones((16, 8, 3, 3), np.float32)}
    recipe = Recipe(sparsity=0.25, scope="global")
    assert planned(recipe, equal) == {"w_body": 448, "w_head": 0}


def test_a_floor_moves_zeros_to_other_weights() -> None:
    rng = np.random.default_rng(0)
    shapes = {"w_body": (16, 8, 3, 3), "w_head": (64, 10)}
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    arrays["w_head"] *= 1e-3
    sizes = {name: array.size for name, array in arrays.items()}
    total = round(0.6 * sum(sizes.values()))
    for floor in (0.1, 0.25):
        found = planned(Recipe(sparsity=0.6, scope="global", min_kept=floor), arrays)
        assert found["w_head"] == sizes["w_head"] - math.ceil(floor * sizes["w_head"])
        assert sum(found.values()) == total
    free = planned(Recipe(sparsity=0.1, scope="global"), arrays)
    assert planned(Recipe(sparsity=0.1, scope="global", min_kept=0.01), arrays) == free


def test_a_floor_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"^min_kept is 0.2, but sparsity 0.9: \d+ of \d+ are to go, at most .*GP723"):
        planned(Recipe(sparsity=0.9, scope="global", min_kept=0.2))


def test_global_scope_at_sparsity_zero_prunes_nothing() -> None:
    assert planned(Recipe(sparsity=0.0, scope="global")) == {"w_body": 0, "w_head": 0}


def test_each_rule_is_a_scope_of_its_own() -> None:
    rules = (Rule(targets=("w_head",), scope="layer"),)
    recipe = Recipe(sparsity=0.5, scope="global", rules=rules)
    assert planned(recipe, small_and_large(small=0.1)) == {"w_body": 576, "w_head": 320}


@given(st.floats(0, 0.9), st.integers(0, 5))
def test_global_counts_add_up(sparsity: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = {
        "w_head": rng.integers(1, 9, (64, 10)).astype(np.float32),
        "w_body": rng.integers(1, 9, (16, 8, 3, 3)).astype(np.float32),
    }
    try:
        counts = planned(Recipe(sparsity=sparsity, scope="global"), weights)
    except RecipeError:
        return  # a layer would be left empty
    assert sum(counts.values()) == round(1792 * sparsity)


GATHERED = "w_table: is read by node 'z' (Gather), which takes no weight that can be pruned: it stays dense"
REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"ignore": ("w_haed",)},
        "recipe: ignore: 'w_haed' matches nothing, did you mean 'w_head' [GP321]",
    ),
    ({"targets": ("re:q",)}, "recipe: targets: 're:q' matches nothing [GP321]"),
    ({"rules": (Rule(targets=("q",)),)}, "recipe: targets: 'q' matches nothing [GP321]"),
    (
        {"targets": ("w_table",)},
        f"recipe: targets: 'w_table' matches only weights that stay dense: {GATHERED} [GP301] [GP321]",
    ),
    ({"ignore": ("*",)}, "nothing to prune: targets and ignore leave no weight [GP326]"),
    ({"sparsity": None}, "nothing to prune: the recipe gives no sparsity; set 'sparsity' or 'rules' [GP326]"),
    (
        {"sparsity": 0.9999},
        "weight 'w_body' would be left empty: all 1152 elements would go at sparsity 0.9999 (scope layer) [GP322]",
    ),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        plan(weighted_model(MODEL), Recipe(**{"sparsity": 0.5, **options}))
    assert str(caught.value) == message


def test_a_layer_that_a_global_threshold_would_empty_is_refused() -> None:
    with pytest.raises(
        RecipeError,
        match=r"'w_head' would be left empty: all 640 elements .* \(scope global\); a floor is min_kept \[GP322\]",
    ):
        planned(Recipe(sparsity=0.5, scope="global"), small_and_large(small=0.01))


def test_weights_that_are_not_finite_are_named() -> None:
    weights = small_and_large()
    weights["w_head"][3, 3] = np.nan
    with pytest.raises(RecipeError, match=r"weight 'w_head' holds NaN or an infinity .* \[GP323\]"):
        planned(Recipe(sparsity=0.5, scope="global"), weights)


def test_a_model_without_prunable_weights_says_why() -> None:
    model = weighted_model("main (int64[N] ids, float[9,3] w) => (float[N,3] y) { y = Gather (w, ids) }")
    with pytest.raises(
        RecipeError, match=r"nothing to prune: the model has no prunable weight; w: is read by .*\[GP326\]"
    ):
        plan(model, Recipe(sparsity=0.5))


def test_planning_by_layer_reads_no_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    model = weighted_model(MODEL)
    monkeypatch.setattr("onnx_ir.Tensor.numpy", None)
    assert isinstance(plan(model, Recipe(sparsity=0.5)), PruningPlan)


def test_an_nm_pattern_fixes_the_share() -> None:
    entries = plan(weighted_model(MODEL), Recipe(pattern="2:4", scope="global")).weights
    assert {entry.name: (entry.sparsity, entry.pruned) for entry in entries} == {
        "w_body": (0.5, 576),
        "w_head": (0.5, 320),
    }


def test_a_rule_may_give_an_nm_pattern_beside_the_recipes_sparsity() -> None:
    rules = (Rule(targets=("w_head",), pattern="1:4"),)
    assert planned(Recipe(sparsity=0.9, rules=rules)) == {"w_body": 1037, "w_head": 480}


def test_a_global_budget_of_blocks() -> None:
    entries = plan(
        weighted_model(MODEL), Recipe(sparsity=0.75, pattern="block 4x1", scope="global", ignore=("w_head",))
    )
    assert [entry.pruned for entry in entries.weights] == [864]


UNFIT = "does not take pattern '8:16': it has 8 input channels, fewer than the 16 of one group"


def test_a_weight_that_the_pattern_does_not_fit_is_left_alone_by_name(caplog: pytest.LogCaptureFixture) -> None:
    model, recipe = weighted_model(MODEL), Recipe(pattern="8:16")
    assert [entry.name for entry in plan(model, recipe).weights] == ["w_head"]
    assert [str(skip) for skip in unfit_weights(model, recipe)] == [f"w_body: {UNFIT} [GP329]"]
    assert UNFIT in caplog.text
    assert unfit_weights(model, Recipe(pattern="channel", sparsity=0.5)) == []


@pytest.mark.parametrize("options", [{"ignore": ("w_head",)}, {"targets": ("w_body", "w_head")}])
def test_a_pattern_that_fits_nothing_or_not_what_is_named_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(RecipeError) as caught:
        plan(weighted_model(MODEL), Recipe(pattern="8:16", **options))
    assert str(caught.value) == f"weight 'w_body' {UNFIT} [GP329]"


def test_blocks_need_not_divide_a_weight() -> None:
    entries = plan(weighted_model(MODEL), Recipe(sparsity=0.5, pattern="block 3x1")).weights
    assert [entry.name for entry in entries] == ["w_body", "w_head"]


@pytest.mark.parametrize(
    ("scope", "criterion", "pattern", "expected"),
    [
        (None, "magnitude", "unstructured", "unstructured"),
        ("row", "magnitude", "unstructured", "unstructured rows"),
        (None, "wanda", "unstructured", "unstructured rows"),
        ("layer", "wanda", "unstructured", "unstructured"),
        (None, "sparsegpt", "unstructured", "unstructured"),
        ("row", "sparsegpt", "2:4", "2:4"),
        (None, "wanda", "block 1x4", "block 1x4"),
    ],
)
def test_rows_are_counted_where_that_is_asked_for(
    scope: Scope | None, criterion: str, pattern: str, expected: str
) -> None:
    recipe = Recipe(pattern=pattern, criterion=criterion, scope=scope, sparsity=None if ":" in pattern else 0.5)
    assert {entry.pattern for entry in plan(weighted_model(MODEL), recipe).weights} == {expected}


def test_each_row_loses_its_share() -> None:
    # 72 and 64 inputs a row, of which a tenth stays.
    assert planned(Recipe(sparsity=0.9, scope="row")) == {"w_body": 16 * 65, "w_head": 10 * 58}


def test_a_rule_has_the_scope_of_its_criterion() -> None:
    recipe = Recipe(sparsity=0.5, rules=(Rule(targets=("w_head",), criterion="wanda"),))
    assert [entry.pattern for entry in plan(weighted_model(MODEL), recipe).weights] == [
        "unstructured",
        "unstructured rows",
    ]


def test_blocks_have_no_rows() -> None:
    with pytest.raises(RecipeError, match=r"scope 'row' with pattern 'block 4x1', expected .* \[GP332\]"):
        plan(weighted_model(MODEL), Recipe(sparsity=0.5, pattern="block 4x1", scope="row"))


@pytest.mark.parametrize("criterion", ["wanda", "sparsegpt"])
def test_weights_that_samples_score_one_by_one_share_no_threshold(criterion: str) -> None:
    with pytest.raises(RecipeError, match=rf"'global' compares all weights .* '{criterion}' sees them .* \[GP333\]"):
        plan(weighted_model(MODEL), Recipe(sparsity=0.5, scope="global", criterion=criterion))
