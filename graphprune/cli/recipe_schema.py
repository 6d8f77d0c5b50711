"""`graphprune recipe-schema`: the JSON schema of recipes, for editors."""

from __future__ import annotations

from graphprune.cli.output import print_json


def recipe_schema_command() -> None:
    """Print the JSON schema of recipes, by which editors complete and check them."""
    from graphprune.planning.recipe_schema import recipe_schema

    print_json(recipe_schema())
