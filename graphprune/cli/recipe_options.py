"""What is pruned and how much: the options of every command that makes a plan, and how the plan is shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphprune.cli.output import print_table
from graphprune.errors import InputError

if TYPE_CHECKING:
    from graphprune.diagnostics import Skip
    from graphprune.pruning_plan import PruningPlan
    from graphprune.recipe import Recipe

DEFAULT_SPARSITY = 0.9

Source = Annotated[Path, typer.Argument(metavar="IN", help="Model, an .onnx file.")]
Sparsity = Annotated[float | None, typer.Option(help="Share of zeros, in [0, 1); 0.9 unless a recipe says.")]
PatternText = Annotated[
    str | None, typer.Option(help="How zeros may be placed: unstructured, 2:4 (keep 2 of 4), block 4x1.")
]
Scope = Annotated[str | None, typer.Option(help="Over what the share is counted: layer or global.")]
Ignore = Annotated[
    list[str] | None,
    typer.Option(metavar="PATTERN", help="Weights, nodes or operators to leave alone; `re:` starts an expression."),
]
RecipeFile = Annotated[Path | None, typer.Option(help="Recipe, a .yaml or .json file, instead of the above.")]


def read_recipe(
    path: Path | None, sparsity: float | None, pattern: str | None, scope: str | None, ignore: list[str] | None
) -> Recipe:
    """Return the recipe of the file, or of the options that are given.

    Raises:
        InputError: A file and options are given (GP608).
        RecipeError: The recipe is wrong.
    """
    from graphprune.masks.patterns import NM, Unstructured, parse_pattern
    from graphprune.recipe import Recipe

    every: dict[str, Any] = {"sparsity": sparsity, "pattern": pattern, "scope": scope, "ignore": ignore}
    options = {name: value for name, value in every.items() if value is not None}
    if path is None:
        fixed = isinstance(parse_pattern(options.get("pattern", str(Unstructured()))), NM)
        return Recipe(**({} if fixed else {"sparsity": DEFAULT_SPARSITY}) | options)
    if options:
        names = " and ".join(f"--{name}" for name in options)
        raise InputError(f"--recipe and {names} are given, expected one of them", code="GP608")
    return Recipe.load(path)


def print_plan(title: str, plan: PruningPlan, skips: Sequence[Skip]) -> None:
    """Print what happens to each weight, and why others are left alone."""
    rows = [
        (entry.name, list(entry.shape), entry.pattern, f"{entry.sparsity:.1%}", entry.pruned) for entry in plan.weights
    ]
    print_table(title, ("weight", "shape", "pattern", ">sparsity", ">zeros"), rows)
    if skips:
        print_table("left alone", ("weight", "why", "code"), ((skip.node, skip.reason, skip.code) for skip in skips))
