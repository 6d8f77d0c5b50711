"""`graphprune prune`: set the weights that matter least to zero, and write the model again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphprune.cli.options import Json, check_output_path
from graphprune.cli.output import print_json, print_line, print_table, progress
from graphprune.errors import InputError

if TYPE_CHECKING:
    from graphprune.diagnostics import Skip
    from graphprune.pruning_plan import PruningPlan
    from graphprune.recipe import Recipe

DEFAULT_SPARSITY = 0.9


def prune_command(  # noqa: PLR0913 - one argument an option
    source: Annotated[Path, typer.Argument(metavar="IN", help="Model, an .onnx file.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Pruned model to write, an .onnx file.")],
    sparsity: Annotated[float | None, typer.Option(help="Share of zeros, in [0, 1); 0.9 unless a recipe says.")] = None,
    pattern: Annotated[
        str | None, typer.Option(help="How zeros may be placed: unstructured, 2:4 (keep 2 of 4), block 4x1.")
    ] = None,
    scope: Annotated[str | None, typer.Option(help="Over what the share is counted: layer or global.")] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Weights, nodes or operators to leave alone; `re:` starts an expression."),
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="Recipe, a .yaml or .json file, instead of the above.")] = None,
    *,
    json: Json = False,
) -> None:
    """Set the smallest weights to zero and write the model; the architecture stays the same."""
    from graphprune.analysis.weights import prunable_weights
    from graphprune.frontends.onnx_file import load, save
    from graphprune.passes.base import run_pass
    from graphprune.passes.prune_weights import PruneWeights
    from graphprune.planner import plan

    check_output_path(output, [".onnx"], source)
    options = {"sparsity": sparsity, "pattern": pattern, "scope": scope, "ignore": ignore}
    chosen = _recipe({name: value for name, value in options.items() if value is not None}, recipe)
    with progress(f"pruning {source}"):
        model = load(source)
        chosen_plan = plan(model, chosen)
        pruned = run_pass(PruneWeights(plan=chosen_plan), model).model
        save(pruned, output)
        skips = prunable_weights(model)[1]
    if json:
        weights = chosen_plan.model_dump(mode="json")["weights"]
        print_json({"output": str(output), "weights": weights, "skips": [asdict(skip) for skip in skips]})
    else:
        _print(chosen_plan, skips, output)


def _recipe(options: dict[str, Any], path: Path | None) -> Recipe:
    from graphprune.masks.patterns import NM, Unstructured, parse_pattern
    from graphprune.recipe import Recipe

    if path is None:
        fixed = isinstance(parse_pattern(options.get("pattern", str(Unstructured()))), NM)
        return Recipe(**({} if fixed else {"sparsity": DEFAULT_SPARSITY}) | options)
    if options:
        names = " and ".join(f"--{name}" for name in options)
        raise InputError(f"--recipe and {names} are given, expected one of them", code="GP608")
    return Recipe.load(path)


def _print(plan: PruningPlan, skips: Sequence[Skip], output: Path) -> None:
    rows = [
        (entry.name, list(entry.shape), entry.pattern, f"{entry.sparsity:.1%}", entry.pruned) for entry in plan.weights
    ]
    print_table("pruned", ("weight", "shape", "pattern", ">sparsity", ">zeros"), rows)
    if skips:
        print_table("left alone", ("weight", "why", "code"), ((skip.node, skip.reason, skip.code) for skip in skips))
    print_line(f"{output}: {sum(entry.pruned for entry in plan.weights)} zeros in {len(plan.weights)} weights")
