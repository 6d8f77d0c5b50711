"""`graphprune prune`: set the weights that matter least to zero, and write the model again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphprune.cli.channel_options import (
    ChannelCriterion,
    Fold,
    MinKept,
    RoundTo,
    TargetMacs,
    TargetParameters,
    channel_choice,
    share_of,
)
from graphprune.cli.folding import describe_fold, load_fixed, load_for_channels, print_fold
from graphprune.cli.options import InputValues, Json, check_output_path
from graphprune.cli.output import print_json, print_line, print_table, progress
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
from graphprune.errors import InputError

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphprune.analysis.sparsity import ValueCounts
    from graphprune.diagnostics import Rewrite, Skip
    from graphprune.passes.permute_channels import PermuteChannels
    from graphprune.planning.pruning_plan import PruningPlan
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
    criterion: ChannelCriterion = None,
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
    channels = unit | channel_choice(round_to, min_kept, criterion)
    chosen = read_recipe(recipe, share, pattern, scope, ignore, channels)
    if fold and not chosen.of_channels:
        raise InputError(f"--fold takes channels out, and the pattern is '{chosen.pattern}'", code="GP609")
    order = PermuteChannels(chosen.pattern, chosen.sparsity or 0.0) if permute else None
    load = load_for_channels if chosen.of_channels or permute else load_fixed
    with progress(f"pruning {source}"):
        model = load(source, input_value)
        outcome = _prune(model, output, chosen, order, fold=chosen.of_channels and fold is not False)
    if json:
        print_json(outcome.report())
    else:
        outcome.print()


def _prune(model: ir.Model, output: Path, chosen: Recipe, order: PermuteChannels | None, *, fold: bool) -> _Outcome:
    """Plan, prune and write."""
    from graphprune.analysis.sparsity import parameter_counts, weight_counts
    from graphprune.analysis.weights import prunable_weights
    from graphprune.frontends.onnx_file import save
    from graphprune.passes.base import run_pass
    from graphprune.passes.fold_channels import FoldChannels
    from graphprune.passes.prune_channels import PruneChannels
    from graphprune.passes.prune_weights import PruneWeights
    from graphprune.planning.channels.planner import prunable_groups
    from graphprune.planning.planner import plan, unfit_weights

    prune, prunable = (PruneChannels, prunable_groups) if chosen.of_channels else (PruneWeights, prunable_weights)
    orders = None if order is None else run_pass(order, model)
    model = model if orders is None else orders.model
    chosen_plan = plan(model, chosen)
    result = run_pass(prune(plan=chosen_plan), model)
    if fold:
        result = run_pass(FoldChannels(), result.model)
    save(result.model, output)
    folded = describe_fold(model, result) if fold else None
    counts = weight_counts(result.model)
    return _Outcome(
        output=output,
        plan=chosen_plan,
        skips=prunable(model)[1] + unfit_weights(model, chosen),
        folded=folded,
        budget=_Budget.of(chosen, folded),
        orders=() if orders is None else orders.rewrites,
        counts=counts,
        total=parameter_counts(result.model, counts),
    )


@dataclass(frozen=True)
class _Outcome:
    """What was pruned and left alone, what folding took out, which channels got another order, and what is zero now."""

    output: Path
    plan: PruningPlan
    skips: Sequence[Skip]
    folded: dict[str, Any] | None
    budget: _Budget | None
    orders: Sequence[Rewrite]
    counts: Mapping[str, ValueCounts]
    total: ValueCounts

    def report(self) -> dict[str, Any]:
        """The outcome as JSON takes it."""
        planned = self.plan.model_dump(mode="json", include={"weights", "channels"})
        for entry in planned["weights"]:
            entry["zeros"] = self.counts[entry["name"]].zeros
        parameters = {"elements": self.total.elements, "zeros": self.total.zeros, "sparsity": self.total.sparsity}
        skips = [asdict(skip) for skip in self.skips]
        report = {"output": str(self.output), **planned, "parameters": parameters, "skips": skips}
        if self.budget is not None:
            report["budget"] = asdict(self.budget)
        if self.orders:
            report["orders"] = {rewrite.node: rewrite.detail for rewrite in self.orders}
        return report if self.folded is None else {**report, "folded": self.folded}

    def print(self) -> None:
        """The outcome as tables."""
        if self.orders:
            print_table("reordered", ("group", "what"), ((rewrite.node, rewrite.detail) for rewrite in self.orders))
        print_plan("pruned", self.plan, self.skips, self.counts)
        if self.folded is not None:
            print_fold(self.folded, self.output)
        elif self.plan.channels:
            print_line(f"{self.output}: {_zero_channels(self.plan)}")
        if self.budget is not None:
            print_line(str(self.budget))
        total = self.total
        print_line(f"{self.output}: {total.zeros:,} of {total.elements:,} parameters are zero ({total.sparsity:.1%})")


@dataclass(frozen=True)
class _Budget:
    """The share of the model that was to be removed, and what was: whole channels and heads seldom meet it exactly."""

    share_of: str
    asked: float
    removed: float

    @classmethod
    def of(cls, recipe: Recipe, folded: dict[str, Any] | None) -> _Budget | None:
        """The budget of the recipe, where it has one and what is left is known."""
        share_of = recipe.channels.share_of
        cost = None if folded is None or share_of == "channels" else folded[share_of]
        if cost is None or recipe.sparsity is None or not cost["before"] or cost["after"] is None:
            return None
        return cls(share_of, recipe.sparsity, 1 - cost["after"] / cost["before"])

    def __str__(self) -> str:
        return f"{self.removed:.1%} of all {self.share_of} are removed, {self.asked:.1%} were asked for"


def _zero_channels(plan: PruningPlan) -> str:
    return f"{sum(each.pruned for each in plan.channels)} zero channels in {len(plan.channels)} groups"
