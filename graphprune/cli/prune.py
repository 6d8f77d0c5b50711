"""`graphprune prune`: set the weights that matter least to zero, and write the model again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphprune.cli.calibration_options import (
    Calibrated,
    MostSamples,
    OptionalCalibration,
    Preprocess,
    Refine,
    Repairs,
    TargetLatency,
    TargetSpeedup,
    TimeBound,
)
from graphprune.cli.channel_options import (
    Fold,
    MinKept,
    RoundTo,
    TargetMacs,
    TargetParameters,
    channel_choice,
    share_of,
)
from graphprune.cli.folding import describe_fold, load_fixed, load_for_channels
from graphprune.cli.options import InputValues, Json, check_output_path
from graphprune.cli.output import print_json, progress
from graphprune.cli.pruned import Budget, Outcome
from graphprune.cli.recipe_options import (
    CriterionText,
    Ignore,
    PatternText,
    RecipeFile,
    Scope,
    Source,
    Sparsity,
    read_recipe,
)
from graphprune.errors import InputError

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphprune.passes.permute_channels import PermuteChannels
    from graphprune.planning.recipe import Recipe


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
    criterion: CriterionText = None,
    calibration: OptionalCalibration = None,
    preprocess: Preprocess = None,
    samples: MostSamples = 128,
    refine: Refine = None,
    repair: Repairs = None,
    target_latency: TargetLatency = None,
    target_speedup: TargetSpeedup = None,
    input_value: InputValues = None,
    *,
    permute: Annotated[
        bool, typer.Option("--permute", help="First give channels an order in which N:M, or block 1x4, keeps more.")
    ] = False,
    fold: Fold = None,
    json: Json = False,
) -> None:
    """Set the smallest weights to zero, or take the weakest channels out, and write the model."""
    from graphprune.passes.permute_channels import PermuteChannels

    check_output_path(output, [".onnx"], source)
    share, unit = share_of(sparsity, target_macs, target_parameters)
    channels = unit | channel_choice(round_to, min_kept)
    chosen = read_recipe(recipe, share, pattern, scope, ignore, channels, criterion)
    given = Calibrated.of(calibration, samples, repair, refine, preprocess)
    bound = TimeBound.of(target_latency, target_speedup, sparsity, samples=given is not None)
    if fold and not chosen.of_channels:
        raise InputError(f"--fold takes channels out, and the pattern is '{chosen.pattern}'", code="GP609")
    order = PermuteChannels(chosen.pattern, chosen.sparsity or 0.0) if permute else None
    load = load_for_channels if chosen.of_channels or permute else load_fixed
    with progress(f"pruning {source}") as advance:
        model = load(source, input_value)
        outcome = _prune(
            model, output, chosen, order, given, bound, advance, fold=chosen.of_channels and fold is not False
        )
    if json:
        print_json(outcome.report())
    else:
        outcome.print()


def _prune(  # noqa: PLR0913 - what the options say
    model: ir.Model,
    output: Path,
    chosen: Recipe,
    order: PermuteChannels | None,
    given: Calibrated | None,
    bound: TimeBound,
    advance: Callable[..., Any],
    *,
    fold: bool,
) -> Outcome:
    """Plan, prune and write."""
    from graphprune.analysis.sparsity import parameter_counts, weight_counts
    from graphprune.analysis.weights import prunable_weights
    from graphprune.frontends.onnx_file import save
    from graphprune.masks.channel_criteria import FLAP
    from graphprune.passes.base import run_pass
    from graphprune.passes.fold_channels import FoldChannels
    from graphprune.passes.prune_channels import PruneChannels
    from graphprune.passes.prune_weights import PruneWeights
    from graphprune.planning.channels.planner import prunable_groups
    from graphprune.planning.planner import plan, unfit_weights

    prune, prunable = (PruneChannels, prunable_groups) if chosen.of_channels else (PruneWeights, prunable_weights)
    orders = None if order is None else run_pass(order, model)
    model = model if orders is None else orders.model
    by_flap = chosen.of_channels and chosen.channels.criterion == FLAP
    by_channel = given.prune_channels(model, chosen, output, advance) if given is not None and by_flap else None
    if by_channel is not None:
        chosen_plan = by_channel.plan
    elif given is None or chosen.of_channels:
        chosen_plan = plan(model, chosen)
    else:
        chosen_plan = given.plan(model, chosen, advance, bound)
    by_samples = by_channel or (None if given is None else given.prune(model, chosen_plan, output, advance))
    pruned = run_pass(prune(plan=chosen_plan), model).model if by_samples is None else by_samples.model
    folded = run_pass(FoldChannels(), pruned) if fold else None
    written = pruned if folded is None else folded.model
    save(written, output)
    if given is not None:
        given.forget(output)
    unfit = unfit_weights(model, chosen.model_copy(update={"scope": None}))
    cost = None if folded is None else describe_fold(model, folded)
    counts = weight_counts(written)
    return Outcome(
        output=output,
        plan=chosen_plan,
        skips=[
            *prunable(model)[1],
            *unfit,
            *(by_samples.skips if by_samples else ()),
        ],
        folded=cost,
        budget=Budget.of(chosen, cost),
        orders=() if orders is None else orders.rewrites,
        counts=counts,
        total=parameter_counts(written, counts),
        errors={layer.name: layer.error for layer in by_samples.layers} if by_samples else {},
    )
