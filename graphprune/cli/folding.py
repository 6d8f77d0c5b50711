"""What folding channels did, as data and as tables."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from graphprune.cli.options import parse_input_values
from graphprune.cli.output import print_line, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import onnx_ir as ir

    from graphprune.passes.base import PassResult


def load_for_channels(source: Path, input_value: Sequence[str] | None = None) -> ir.Model:
    """Load a model and compute what follows from constants and static shapes, so that channels can be followed there.

    Raises:
        GraphPruneError: The file cannot be read.
    """
    from graphprune.passes.base import run_pass
    from graphprune.passes.fold_constants import FoldConstants

    return run_pass(FoldConstants(), load_fixed(source, input_value)).model


def load_fixed(source: Path, input_value: Sequence[str] | None) -> ir.Model:
    """Load a model, and fix the inputs that `--input-value` names.

    Raises:
        GraphPruneError: The file cannot be read, or an input cannot be fixed.
    """
    from graphprune.frontends.onnx_file import load
    from graphprune.passes.input_values import with_input_values

    return with_input_values(load(source), parse_input_values(input_value))


def describe_fold(before: ir.Model, result: PassResult) -> dict[str, Any]:
    """Return what went, what had to stay, and the cost of a batch of one before and after."""
    from graphprune.analysis.cost import batch_of_one, model_cost

    costs = [model_cost(model, batch_of_one(model)) for model in (before, result.model)]
    return {
        "groups": [{"group": rewrite.node, "what": rewrite.detail} for rewrite in result.rewrites],
        "skips": [asdict(skip) for skip in result.skips],
        "parameters": {"before": costs[0].parameters, "after": costs[1].parameters},
        "macs": {"before": costs[0].macs, "after": costs[1].macs},
        "channel_map": dict(result.channel_map or {}),
    }


def print_fold(summary: dict[str, Any], output: object) -> None:
    """Print the groups that lost channels, what had to stay, and what is left."""
    if summary["groups"]:
        print_table("folded", ("group", "what"), ((each["group"], each["what"]) for each in summary["groups"]))
    if summary["skips"]:
        rows = ((skip["node"], skip["reason"], skip["code"]) for skip in summary["skips"])
        print_table("zero channels that stay", ("group", "why", "code"), rows)
    if not summary["groups"] and not summary["skips"]:
        print_line("no channel is zero, nothing is taken out")
    costs = (("parameters", "parameters"), ("macs", "multiply-accumulates"))
    print_line(f"{output}: " + ", ".join(_left(summary[key], name) for key, name in costs) + " left")


def _left(cost: dict[str, int | None], name: str) -> str:
    before, after = cost["before"], cost["after"]
    if before is None or after is None:
        return f"unknown {name}"
    return f"{after:,} of {before:,} {name} ({after / before:.1%})" if before else f"no {name}"
