"""Plans as data: files, edits, and the model they belong to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from graphprune.errors import RecipeError
from graphprune.planning.planner import plan
from graphprune.planning.pruning_plan import PruningPlan
from graphprune.planning.recipe import Recipe
from tests.weighted import weighted_model

MODEL = """
main (float[N,10] x, float[10,20] w_a, float[20,10] w_b) => (float[N,10] y) {
  a = MatMul (x, w_a)
  y = MatMul (a, w_b)
}
"""
OTHER = MODEL.replace("20", "30")


def make(recipe: Recipe | None = None) -> PruningPlan:
    return plan(weighted_model(MODEL), recipe or Recipe(sparsity=0.9))


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_files_go_both_ways(tmp_path: Path, suffix: str, scope: Any) -> None:  # noqa: ANN401 - one of two words
    path = tmp_path / f"plan{suffix}"
    made = make(Recipe(sparsity=0.37, scope=scope))
    made.save(path)
    assert PruningPlan.load(path) == made


def test_yaml_form() -> None:
    assert make().to_yaml() == (
        "version: 1\n"
        f"model: '{make().model}'\n"
        "weights:\n"
        "- name: w_a\n"
        "  shape: [10, 20]\n"
        "  output_axis: 1\n"
        "  input_axis: 0\n"
        "  pattern: unstructured\n"
        "  criterion: magnitude\n"
        "  sparsity: 0.9\n"
        "  pruned: 180\n"
        "- name: w_b\n"
        "  shape: [20, 10]\n"
        "  output_axis: 1\n"
        "  input_axis: 0\n"
        "  pattern: unstructured\n"
        "  criterion: magnitude\n"
        "  sparsity: 0.9\n"
        "  pruned: 180\n"
        "channels: []\n"
    )


def edited(**change: object) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(make().to_json())
    entry = data["weights"][0]
    entry.update(change)
    data["weights"][0] = {key: value for key, value in entry.items() if value is not None}
    return data


def test_an_edited_sparsity_without_its_count_is_taken() -> None:
    changed = PruningPlan(**edited(sparsity=0.5, pruned=None))
    assert [weight.pruned for weight in changed.weights] == [100, 180]
    assert changed.resolve(weighted_model(MODEL))[0][0].pruned == 100


def test_an_entry_may_be_removed() -> None:
    data = edited()
    del data["weights"][0]
    assert [entry.name for entry, _ in PruningPlan(**data).resolve(weighted_model(MODEL))] == ["w_b"]


EDITS: list[tuple[dict[str, object], str]] = [
    (
        {"sparsity": 0.5},
        "weight 'w_a': 180 pruned, but sparsity 0.5 makes 100; edit the sparsity and leave 'pruned' out [GP325]",
    ),
    ({"name": "w_b"}, "pruning plan: weight 'w_b' is planned twice [GP325]"),
    ({"pruned": None, "sparsity": 1}, "weight plan 'w_a': sparsity: input should be less than 1, got 1 [GP320]"),
    ({"spar": 1}, "weight plan 'w_a': unknown key 'spar', did you mean 'sparsity' [GP320]"),
    (
        {"pattern": "2-4"},
        (
            "unknown pattern '2-4', expected 'unstructured', '2:4' (keep 2 of 4), '2:4x4' (the same for 4 outputs) or "
            "'block 4x1' (4 outputs by 1 input) [GP327]"
        ),
    ),
    ({"output_axis": 0}, "weight 'w_a': axes [0, 0] of shape [10, 20], expected two different ones [GP325]"),
    ({"input_axis": 2}, "weight 'w_a': axes [1, 2] of shape [10, 20], expected two different ones [GP325]"),
    (
        {"pattern": "2:4", "pruned": None},
        "weight 'w_a': pattern '2:4' makes 80 zeros, sparsity 0.9 says 180; edit the sparsity [GP325]",
    ),
    ({"shape": None}, "weight plan 'w_a': key 'shape' is missing [GP320]"),
]


@pytest.mark.parametrize(("change", "message"), EDITS, ids=[message for _, message in EDITS])
def test_a_wrong_edit_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        PruningPlan(**edited(**change))
    assert str(caught.value) == message


def test_a_later_version_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"pruning plan: version: input should be 1, got 2 \[GP320\]"):
        PruningPlan(**{**edited(), "version": 2})


def test_an_empty_plan_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"pruning plan: neither weights nor channels \[GP325\]"):
        PruningPlan(**{**edited(), "weights": []})


def test_the_same_model_with_other_values_takes_the_plan() -> None:
    assert len(make().resolve(weighted_model(MODEL, seed=9))) == 2


def test_another_model_is_refused_by_shape() -> None:
    with pytest.raises(RecipeError) as caught:
        make().resolve(weighted_model(OTHER))
    assert str(caught.value) == "plan: weight 'w_a' has shape [10, 30] in the model, expected [10, 20] [GP324]"


def test_another_use_of_the_weight_is_refused() -> None:
    square = "main (float[N,8] x, float[8,8] w) => (float[N,8] y) { y = MatMul (x, w) }"
    transposed = square.replace("y = MatMul (x, w)", "y = Gemm <transB = 1> (x, w)")
    with pytest.raises(RecipeError, match=r"'w' has axes \[0, 1\] in the model, expected \[1, 0\] \[GP324\]"):
        plan(weighted_model(square), Recipe(sparsity=0.5)).resolve(weighted_model(transposed))


def test_another_model_is_refused_by_name() -> None:
    with pytest.raises(RecipeError, match=r"has no prunable weight 'w_a', did you mean 'w_aa' \[GP324\]"):
        make().resolve(weighted_model(MODEL.replace("w_a", "w_aa")))


def test_another_model_is_refused_by_fingerprint() -> None:
    double = MODEL.replace("float", "double")
    with pytest.raises(RecipeError, match=r"plan: made for model [0-9a-f]{16}, this one is [0-9a-f]{16} \[GP324\]"):
        make().resolve(weighted_model(double))
