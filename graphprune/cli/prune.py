"""`graphprune prune`: set the weights that matter least to zero, and write the model again."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from graphprune.cli.options import Json, check_output_path
from graphprune.cli.output import print_json, print_line, progress
from graphprune.cli.recipe_options import (
    Ignore,
    PatternText,
    RecipeFile,
    Scope,
    Source,
    Sparsity,
    print_plan,
    read_recipe,
)


def prune_command(  # noqa: PLR0913 - one argument an option
    source: Source,
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Pruned model to write, an .onnx file.")],
    sparsity: Sparsity = None,
    pattern: PatternText = None,
    scope: Scope = None,
    ignore: Ignore = None,
    recipe: RecipeFile = None,
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
    chosen = read_recipe(recipe, sparsity, pattern, scope, ignore)
    with progress(f"pruning {source}"):
        model = load(source)
        chosen_plan = plan(model, chosen)
        pruned = run_pass(PruneWeights(plan=chosen_plan), model).model
        save(pruned, output)
        skips = prunable_weights(model)[1]
    if json:
        weights = chosen_plan.model_dump(mode="json")["weights"]
        print_json({"output": str(output), "weights": weights, "skips": [asdict(skip) for skip in skips]})
        return
    print_plan("pruned", chosen_plan, skips)
    zeros = sum(entry.pruned for entry in chosen_plan.weights)
    print_line(f"{output}: {zeros} zeros in {len(chosen_plan.weights)} weights")
