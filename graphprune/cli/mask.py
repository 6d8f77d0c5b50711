"""`graphprune mask`: put soft masks in front of the readers of weights, and write the model again."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from graphprune.cli.folding import load_fixed
from graphprune.cli.options import InputValues, Json, check_output_path
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


def mask_command(  # noqa: PLR0913, PLR0917 - one argument an option
    source: Source,
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Masked model to write, an .onnx file.")],
    sparsity: Sparsity = None,
    pattern: PatternText = None,
    scope: Scope = None,
    ignore: Ignore = None,
    recipe: RecipeFile = None,
    temperature: Annotated[
        str | None,
        typer.Option(help="How soft masks are: 1e-4, or 0.1t2 for a tenth of each squared threshold."),
    ] = None,
    ratio: Annotated[float, typer.Option(help="How far the ramp is, from 0 (masks of ones) to 1.")] = 1.0,
    input_value: InputValues = None,
    *,
    json: Json = False,
) -> None:
    """Let the readers of prunable weights read them through soft masks, to be trained and hardened."""
    from graphprune.analysis.weights import prunable_weights
    from graphprune.frontends.onnx_file import save
    from graphprune.masks.temperature import Temperature
    from graphprune.passes.base import run_pass
    from graphprune.passes.insert_soft_masks import InsertSoftMasks
    from graphprune.planning.planner import plan, unfit_weights

    check_output_path(output, [".onnx"], source)
    chosen = read_recipe(recipe, sparsity, pattern, scope, ignore)
    temperature = temperature or (chosen.training.temperature if chosen.training else str(Temperature()))
    with progress(f"masking {source}"):
        model = load_fixed(source, input_value)
        chosen_plan = plan(model, chosen)
        masked = run_pass(InsertSoftMasks(plan=chosen_plan, temperature=temperature, ratio=ratio), model).model
        save(masked, output)
        skips = prunable_weights(model)[1] + unfit_weights(model, chosen)
    if json:
        weights = chosen_plan.model_dump(mode="json")["weights"]
        softness = {"temperature": temperature, "ratio": ratio}
        print_json({"output": str(output), **softness, "weights": weights, "skips": [asdict(skip) for skip in skips]})
        return
    print_plan("masked", chosen_plan, skips)
    count = len(chosen_plan.weights)
    print_line(f"{output}: soft masks on {count} weights, temperature {temperature}, ratio {ratio:g}")
