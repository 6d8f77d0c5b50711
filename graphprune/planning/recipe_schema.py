"""The JSON schema of recipes, by which editors complete and check them: types and names, with what they mean.

What JSON schema cannot say (that a pattern fits a weight, that two keys agree) is checked where a recipe is read.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

from graphprune.planning.channels.options import ChannelOptions
from graphprune.planning.documents import Document
from graphprune.planning.recipe import Recipe, Rule
from graphprune.planning.training_settings import Schedule, TrainingSettings

_DOCUMENTS: tuple[type[Document], ...] = (Recipe, Rule, ChannelOptions, TrainingSettings, Schedule)

_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n        .*)*)", re.MULTILINE)
"""An entry of the section `Attributes:` of a docstring: its name, and the lines about it."""


def recipe_schema() -> dict[str, Any]:
    """Return the schema of recipes (draft 2020-12), with the documentation of each key."""
    schema: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Recipe.model_json_schema()
    described = {"Recipe": schema, **schema["$defs"]}
    for document in _DOCUMENTS:
        _describe(document, described[document.__name__])
    return schema


def _describe(document: type[Document], schema: dict[str, Any]) -> None:
    """Move what the docstring says of each key to that key."""
    summary, _, attributes = (inspect.getdoc(document) or "").partition("\n\nAttributes:\n")
    schema["description"] = " ".join(summary.split())
    for name, text in _ATTRIBUTE.findall(attributes):
        schema["properties"][name]["description"] = " ".join(text.split())
