"""Recipes: what is accepted, and what is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graphprune.errors import ModelFileError, RecipeError
from graphprune.planning.recipe import Recipe, Rule, matches

FULL = Recipe(
    sparsity=0.9,
    scope="global",
    targets=("encoder.*",),
    ignore=("re:.*pooler",),
    rules=(Rule(targets=("encoder.0.*",), sparsity=0.5, scope="layer"),),
)


def test_defaults() -> None:
    recipe = Recipe(sparsity=0.5)
    assert (recipe.pattern, recipe.scope, recipe.criterion) == ("unstructured", None, "magnitude")
    assert (recipe.targets, recipe.ignore, recipe.rules) == ((), (), ())


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".json", ".JSON"])
def test_files_go_both_ways(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"recipe{suffix}"
    FULL.save(path)
    assert Recipe.load(path) == FULL


def test_one_name_needs_no_list(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("sparsity: 0.9\nignore: classifier.weight\n", encoding="utf-8")
    assert Recipe.load(path).ignore == ("classifier.weight",)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"sparsty": 0.9}, "recipe: unknown key 'sparsty', did you mean 'sparsity'"),
    ({"colour": 0.9}, "recipe: unknown key 'colour'"),
    ({"sparsity": 1.0}, "recipe: sparsity: input should be less than 1, got 1.0"),
    ({"sparsity": -0.1}, "recipe: sparsity: input should be greater than or equal to 0, got -0.1"),
    ({"sparsity": float("nan")}, "recipe: sparsity: input should be less than 1, got nan"),
    ({"sparsity": "0.9"}, "recipe: sparsity: input should be a valid number, got '0.9'"),
    ({"sparsity": True}, "recipe: sparsity: input should be a valid number, got True"),
    ({"scope": "model"}, "recipe: scope: input should be 'layer', 'row' or 'global', got 'model'"),
    ({"targets": [1]}, "recipe: targets[0]: input should be a valid string, got 1"),
    ({"targets": ["re:("]}, "'re:(' is not a regular expression: missing ), unterminated subpattern at position 0"),
    ({"rules": [{"targets": "a", "sparsity": 90}]}, "rule: sparsity: input should be less than 1, got 90"),
    ({"rules": [{"sparsity": 0.9}]}, "rule: key 'targets' is missing"),
    ({"rules": [{"targets": "a", "spasity": 0.9}]}, "rule: unknown key 'spasity', did you mean 'sparsity'"),
    ({"rules": "x" * 99}, f"recipe: rules: input should be a valid tuple, got '{'x' * 59}..."),
]


@pytest.mark.parametrize(("data", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_is_wrong_is_named_in_one_line(data: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe(**data)
    assert str(caught.value) == f"{message} [GP320]"


@pytest.mark.parametrize("key", ["pattern", "criterion"])
def test_an_unknown_pattern_or_criterion_is_named(key: str) -> None:
    data: dict[str, Any] = {key: "x"}
    with pytest.raises(RecipeError, match=rf"unknown {key} 'x', expected .* \[GP327\]"):
        Recipe(**data)


FILES = [
    ("recipe.yaml", "sparsty: 1\n", "'{path}': recipe: unknown key 'sparsty', did you mean 'sparsity' [GP320]"),
    ("recipe.yaml", "- 0.9\n", "'{path}' holds no keys with values, expected those of a recipe [GP320]"),
    ("recipe.yaml", "1: 2\n", "'{path}' holds no keys with values, expected those of a recipe [GP320]"),
    ("recipe.yaml", "", "'{path}' holds no keys with values, expected those of a recipe [GP320]"),
    ("recipe.toml", "", "'{path}': expected a name ending in .yaml, .yml or .json [GP320]"),
]


@pytest.mark.parametrize(("name", "text", "message"), FILES)
def test_a_wrong_file_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        Recipe.load(path)
    assert str(caught.value) == message.format(path=path)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.yaml", b"a: [1"),
        ("a.json", b"{"),
        ("a.yaml", b"\xff\xfe\x00"),
        ("a.json", b"[" * 100_000),
        ("a.yaml", b"\0"),
    ],
)
def test_damaged_files_are_one_line(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(RecipeError, match=r"is not (YAML|JSON): .* \[GP320\]$") as caught:
        Recipe.load(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"cannot read '.*none.yaml': No such file or directory \[GP320\]"):
        Recipe.load(tmp_path / "none.yaml")


def test_an_unwritable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"cannot write .* \[GP106\]"):
        FULL.save(tmp_path / "none" / "recipe.yaml")


def test_nothing_is_constructed_from_yaml_tags(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("sparsity: !!python/object/apply:os.getcwd []\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="is not YAML"):
        Recipe.load(path)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("fc.weight", "fc.weight", True),
        ("fc.*", "fc.weight", True),
        ("FC.*", "fc.weight", False),
        ("fc", "fc.weight", False),
        ("a[0]", "a[0]", True),
        ("re:fc", "fc.weight", True),
        ("re:fc$", "fc.weight", False),
        ("re:weight", "fc.weight", False),
        ("re:.*weight", "fc.weight", True),
    ],
)
def test_name_patterns(pattern: str, name: str, expected: bool) -> None:  # noqa: FBT001 - a table
    assert matches(pattern, [name]) is expected


@pytest.mark.parametrize("make", [Recipe, lambda **keys: Rule(targets=("w",), **keys)])
def test_an_nm_pattern_and_another_sparsity_are_refused(make: Callable[..., object]) -> None:
    make(pattern="2:4", sparsity=0.5)
    with pytest.raises(RecipeError, match=r"pattern '2:4' keeps 2 of 4, a sparsity of 0.5, but sparsity is 0.9.*GP336"):
        make(pattern="2:4", sparsity=0.9)


def test_an_nm_pattern_needs_no_quotes_in_yaml(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("pattern: 2:4\nrules: [{targets: a, pattern: 16:32}]\n")
    read = Recipe.load(tmp_path / "r.yaml")
    assert (read.pattern, read.rules[0].pattern) == ("2:4", "16:32")
    read.save(tmp_path / "again.yaml")
    assert Recipe.load(tmp_path / "again.yaml") == read
