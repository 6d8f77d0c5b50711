"""Options of the commands that make a plan, and how the plan is printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphprune.cli.output import print_line, print_table
from graphprune.errors import InputError

if TYPE_CHECKING:
    from graphprune.analysis.sparsity import ValueCounts
    from graphprune.diagnostics import Skip
    from graphprune.planning.pruning_plan import PruningPlan, WeightPlan
    from graphprune.planning.recipe import Recipe

DEFAULT_SPARSITY = 0.9
DEFAULT_CHANNEL_SPARSITY = 0.5

Source = Annotated[Path, typer.Argument(metavar="IN", help="Model, an .onnx file.")]
Sparsity = Annotated[
    float | None, typer.Option(help="Share of zeros, in [0, 1); 0.9, or half of the channels, unless a recipe says.")
]
PatternText = Annotated[
    str | None,
    typer.Option(
        help="How zeros may lie: unstructured, 2:4 (keep 2 of 4), 2:4x4 (alike for 4 outputs), block 4x1, channel."
    ),
]
Scope = Annotated[str | None, typer.Option(help="Over what the share is counted: layer, row or global.")]
CriterionText = Annotated[
    str | None,
    typer.Option(
        "--criterion",
        help="What a weight is worth: magnitude, or wanda or sparsegpt by --calibration; "
        "what a channel is worth: l2, l1, batch-norm or random, or flap by --calibration.",
    ),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option(metavar="PATTERN", help="Weights, nodes or operators to leave alone; `re:` starts an expression."),
]
RecipeFile = Annotated[Path | None, typer.Option(help="Recipe, a .yaml or .json file, instead of the above.")]


def read_recipe(
    path: Path | None,
    sparsity: float | None,
    pattern: str | None,
    scope: str | None,
    ignore: list[str] | None,
    channels: dict[str, Any] | None = None,
    criterion: str | None = None,
) -> Recipe:
    """Return the recipe of the file, or of the options that are given; `channels` are options of channels.

    The criterion is one of channels where the pattern is theirs.

    Raises:
        InputError: A file and options are given (GP608).
        RecipeError: The recipe is wrong.
    """
    from graphprune.planning.channels.options import CHANNEL
    from graphprune.planning.recipe import Recipe

    every: dict[str, Any] = {"sparsity": sparsity, "pattern": pattern, "scope": scope, "ignore": ignore}
    if pattern == CHANNEL and criterion is not None:
        channels = {**(channels or {}), "criterion": criterion}
    else:
        every["criterion"] = criterion
    options = {name: value for name, value in every.items() if value is not None}
    if path is None:
        shares: dict[str, Any] = _default_share(pattern)
        return Recipe(**shares | options | ({"channels": channels} if channels else {}))
    if options or channels:
        names = " and ".join(f"--{name.replace('_', '-')}" for name in (*options, *(channels or ())))
        raise InputError(f"--recipe and {names} are given, expected one of them", code="GP608")
    return Recipe.load(path)


def _default_share(pattern: str | None) -> dict[str, float]:
    """The sparsity where none is given: an N:M pattern fixes it itself."""
    from graphprune.masks.patterns import NM, Unstructured, parse_pattern
    from graphprune.planning.channels.options import CHANNEL

    if pattern == CHANNEL:
        return {"sparsity": DEFAULT_CHANNEL_SPARSITY}
    fixed = isinstance(parse_pattern(pattern or str(Unstructured())), NM)
    return {} if fixed else {"sparsity": DEFAULT_SPARSITY}


def print_plan(
    title: str,
    plan: PruningPlan,
    skips: Sequence[Skip],
    found: Mapping[str, ValueCounts] | None = None,
    errors: Mapping[str, float] | None = None,
) -> None:
    """Print what happens to each weight or group of channels, and why others are left alone.

    Args:
        title: Of the table.
        plan: What was planned.
        skips: What is left alone.
        found: The zeros that a weight has in the end, which may be more than planned; None where nothing is changed.
        errors: What the outputs of a weight's layer err by on samples, where these were looked at.
    """
    if plan.channels:
        groups = [(each.group, each.size, f"{each.sparsity:.1%}", each.pruned) for each in plan.channels]
        print_table(title, ("group", ">channels", ">share", ">go"), groups)
    if plan.weights:
        rows = [
            (each.name, list(each.shape), each.pattern, *_zeros(each, found), *_error(each, errors))
            for each in plan.weights
        ]
        columns: tuple[str, ...] = (">planned", ">zeros", ">share") if found else (">zeros", ">share")
        columns += (">error",) if errors else ()
        print_table(title, ("weight", "shape", "pattern", *columns), rows)
        for text in dict.fromkeys(each.pattern for each in plan.weights):
            _print_groups(text)
    if skips:
        print_table("left alone", ("weight", "why", "code"), ((skip.node, skip.reason, skip.code) for skip in skips))


def _zeros(planned: WeightPlan, found: Mapping[str, ValueCounts] | None) -> tuple[object, ...]:
    if not found:
        return planned.pruned, f"{planned.sparsity:.1%}"
    return planned.pruned, found[planned.name].zeros, f"{found[planned.name].sparsity:.1%}"


def _error(planned: WeightPlan, errors: Mapping[str, float] | None) -> tuple[str, ...]:
    if not errors:
        return ()
    return (f"{errors[planned.name]:.1%}" if planned.name in errors else "",)


def _print_groups(text: str) -> None:
    """Say what an N:M pattern means."""
    from graphprune.masks.patterns import NM, parse_pattern

    pattern = parse_pattern(text)
    if isinstance(pattern, NM):
        alike = f", the same ones for {pattern.outputs} neighbouring outputs" if pattern.outputs > 1 else ""
        print_line(f"{pattern}: keep {pattern.keep} of {pattern.of} along input channels{alike}")
