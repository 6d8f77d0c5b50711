"""The schema accepts and refuses what reading a recipe does, as far as JSON schema can say it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from graphprune.errors import RecipeError
from graphprune.masks.channel_criteria import CHANNEL_CRITERIA
from graphprune.planning import yaml_form
from graphprune.planning.recipe import Recipe
from graphprune.planning.recipe_schema import recipe_schema
from tests.invoke import invoke

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SCHEMA = recipe_schema()

GOOD = [
    {},
    {"sparsity": 0.9},
    {"pattern": "2:4"},
    {"pattern": "3:8x2", "ignore": "fc"},
    {"sparsity": 0.5, "pattern": "block 8x2", "targets": ["a", "re:b.*"]},
    {
        "sparsity": 0.5,
        "pattern": "channel",
        "channels": {"criterion": "batch-norm", "round_to": 8, "indices": {"w": [1]}},
    },
    {"rules": [{"targets": "re:.*conv1.*", "sparsity": 0.5, "criterion": "magnitude"}]},
    {"sparsity": 0.9, "scope": "global", "training": {"method": "gmp", "schedule": {"length": 100, "ramp": "cubic"}}},
]
BAD = [
    {"sparsty": 0.9},
    {"sparsity": 1.0},
    {"sparsity": -0.1},
    {"sparsity": "high"},
    {"pattern": "2/4"},
    {"pattern": "a 2:4 b"},
    {"scope": "model"},
    {"criterion": "taylor"},
    {"targets": 3},
    {"rules": [{"sparsity": 0.5}]},
    {"rules": [{"targets": "a", "pattern": "blocks"}]},
    {"pattern": "channel", "sparsity": 0.5, "channels": {"criterion": "l3"}},
    {"training": {"method": "adam"}},
    {"training": {"schedule": {"ramp": "cubic", "length": 0}}},
]


def is_accepted(recipe: dict[str, Any]) -> bool:
    try:
        Recipe(**recipe)
    except RecipeError:
        return False
    return True


@pytest.mark.parametrize("recipe", GOOD)
def test_schema_and_reader_accept(recipe: dict[str, Any]) -> None:
    assert is_accepted(recipe)
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid(recipe)


@pytest.mark.parametrize("recipe", BAD)
def test_schema_and_reader_refuse(recipe: dict[str, Any]) -> None:
    assert not is_accepted(recipe)
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(recipe)


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_patterns_and_criteria_are_enumerated() -> None:
    assert SCHEMA["properties"]["criterion"]["enum"] == ["magnitude", "wanda", "sparsegpt"]
    assert {"channel", "unstructured", "2:4"} <= set(SCHEMA["properties"]["pattern"]["anyOf"][0]["enum"])
    assert SCHEMA["$defs"]["ChannelOptions"]["properties"]["criterion"]["enum"] == list(CHANNEL_CRITERIA)


def test_every_offered_pattern_can_be_read() -> None:
    offered = SCHEMA["properties"]["pattern"]["anyOf"][0]["enum"]
    assert all(is_accepted({"pattern": name}) for name in offered)


def test_every_key_is_described() -> None:
    documents = {"Recipe": SCHEMA, **SCHEMA["$defs"]}
    bare = [
        f"{name}.{key}"
        for name, each in documents.items()
        for key, of in each["properties"].items()
        if "description" not in of
    ]
    assert bare == []


def test_the_shipped_schema_is_fresh_and_the_example_names_it() -> None:
    shipped = json.loads((EXAMPLES / "recipe.schema.json").read_text(encoding="utf-8"))
    assert shipped == json.loads(invoke("recipe-schema").out) == SCHEMA
    text = (EXAMPLES / "recipe.yaml").read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=recipe.schema.json\n")
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid(yaml_form.load(text))
