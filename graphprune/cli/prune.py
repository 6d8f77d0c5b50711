"""`graphprune prune`: set the weights that matter least to zero, and write the model again."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from graphprune.cli.channel_options import (
    ChannelCriterion,
    MinKept,
    RoundTo,
    TargetMacs,
    TargetParameters,
    channel_choice,
    share_of,
)
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


def prune_command(  # noqa: PLR0913, PLR0917 - one argument an option
    source: Source,
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Pruned model to write, an .onnx file.")],
    sparsity: Sparsity = None,
    pattern: PatternText = None,
    scope: Scope = None,
    ignore: Ignore = None,
    recipe: RecipeFile = None,
    target_macs: TargetMacs = None,
    target_parameters: TargetParameters = None,
    round_to: RoundTo = None,
    min_kept: MinKept = None,
    criterion: ChannelCriterion = None,
    *,
    json: Json = False,
) -> None:
    """Set the smallest weights, or the weakest channels, to zero and write the model."""
    from graphprune.analysis.weights import prunable_weights
    from graphprune.channel_plans.planner import prunable_groups
    from graphprune.frontends.onnx_file import load, save
    from graphprune.passes.base import run_pass
    from graphprune.passes.prune_channels import PruneChannels
    from graphprune.passes.prune_weights import PruneWeights
    from graphprune.planner import plan

    check_output_path(output, [".onnx"], source)
    share, unit = share_of(sparsity, target_macs, target_parameters)
    channels = unit | channel_choice(round_to, min_kept, criterion)
    chosen = read_recipe(recipe, share, pattern, scope, ignore, channels)
    prune, prunable = (PruneChannels, prunable_groups) if chosen.of_channels else (PruneWeights, prunable_weights)
    with progress(f"pruning {source}"):
        model = load(source)
        chosen_plan = plan(model, chosen)
        pruned = run_pass(prune(plan=chosen_plan), model).model
        save(pruned, output)
        skips = prunable(model)[1]
    if json:
        planned = chosen_plan.model_dump(mode="json", include={"weights", "channels"})
        print_json({"output": str(output), **planned, "skips": [asdict(skip) for skip in skips]})
        return
    print_plan("pruned", chosen_plan, skips)
    if chosen.of_channels:
        gone, groups = sum(entry.pruned for entry in chosen_plan.channels), len(chosen_plan.channels)
        print_line(f"{output}: {gone} zero channels in {groups} groups")
        return
    zeros = sum(entry.pruned for entry in chosen_plan.weights)
    print_line(f"{output}: {zeros} zeros in {len(chosen_plan.weights)} weights")
