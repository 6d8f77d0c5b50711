"""What `graphprune prune` reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphprune.cli.folding import print_fold
from graphprune.cli.output import print_line, print_table
from graphprune.cli.recipe_options import print_plan

if TYPE_CHECKING:
    from graphprune.analysis.sparsity import ValueCounts
    from graphprune.diagnostics import Rewrite, Skip
    from graphprune.planning.pruning_plan import PruningPlan
    from graphprune.planning.recipe import Recipe


@dataclass(frozen=True)
class Outcome:
    """What was pruned and left alone, what folding took out, which channels got another order, and what is zero now."""

    output: Path
    plan: PruningPlan
    skips: Sequence[Skip]
    folded: dict[str, Any] | None
    budget: Budget | None
    orders: Sequence[Rewrite]
    counts: Mapping[str, ValueCounts]
    total: ValueCounts
    errors: Mapping[str, float]

    def report(self) -> dict[str, Any]:
        """The outcome as JSON takes it."""
        planned = self.plan.model_dump(mode="json", include={"weights", "channels"})
        for entry in planned["weights"]:
            entry["zeros"] = self.counts[entry["name"]].zeros
            if entry["name"] in self.errors:
                entry["error"] = self.errors[entry["name"]]
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
        print_plan("pruned", self.plan, self.skips, self.counts, self.errors)
        if self.folded is not None:
            print_fold(self.folded, self.output)
        elif self.plan.channels:
            print_line(f"{self.output}: {_zero_channels(self.plan)}")
        if self.budget is not None:
            print_line(str(self.budget))
        total = self.total
        print_line(f"{self.output}: {total.zeros:,} of {total.elements:,} parameters are zero ({total.sparsity:.1%})")


@dataclass(frozen=True)
class Budget:
    """The share of the model that was to be removed, and what was: whole channels and heads seldom meet it exactly."""

    share_of: str
    asked: float
    removed: float

    @classmethod
    def of(cls, recipe: Recipe, folded: dict[str, Any] | None) -> Budget | None:
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
