"""`graphprune inspect`: what a model is, what it costs, and what of it can be pruned."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphprune.cli.compiled import describe_compiled, print_compiled
from graphprune.cli.folding import load_for_channels
from graphprune.cli.groups import describe_groups, print_explained, print_groups
from graphprune.cli.options import Json
from graphprune.cli.output import print_json, print_line, print_table, progress
from graphprune.cli.storage import describe_packed, print_packed
from graphprune.errors import InputError

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphprune.analysis.weights import LinearWeight


def inspect_command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="An .onnx or a compiled file.")],
    *,
    groups: Annotated[
        bool, typer.Option("--groups", help="Show which channels can be removed together, and what is in the way.")
    ] = False,
    explain: Annotated[
        str | None, typer.Option(metavar="NODE", help="Show all that the channels of a node or a weight have.")
    ] = None,
    json: Json = False,
) -> None:
    """Show inputs, operators, cost, sparsity, and which weights can be pruned, or why not."""
    from graphprune.frontends.onnx_file import load
    from graphprune_runtime.loading import is_compiled

    if is_compiled(model):
        _inspect_compiled(model, groups=groups or explain is not None, json=json)
        return
    with progress(f"inspecting {model}"):
        of_groups = groups or explain is not None
        found = describe_groups(load_for_channels(model), explain) if of_groups else describe_model(load(model))
        summary = {"file": str(model), **found}
    if json:
        print_json(summary)
    elif explain is not None:
        print_explained(summary, explain)
    elif groups:
        print_groups(summary)
    else:
        _print(summary)


def _inspect_compiled(path: Path, *, groups: bool, json: bool) -> None:
    if groups:
        raise InputError(f"{path} is compiled code, whose channels are fixed; inspect the .onnx file", code="GP614")
    summary = {"file": str(path), **describe_compiled(path)}
    if json:
        print_json(summary)
    else:
        print_compiled(summary)


def describe_model(model: ir.Model) -> dict[str, Any]:
    """Everything that the command prints, as plain data.

    Multiply-accumulates are counted for a batch of one where the first dimension of an input is open, and None where
    another open dimension decides them.
    """
    from graphprune.analysis.cost import batch_of_one, model_cost
    from graphprune.analysis.sparsity import weight_counts
    from graphprune.analysis.weights import prunable_weights
    from graphprune.backends.base import tensor_infos
    from graphprune.graph.nodes import describe
    from graphprune.graph.opaque import is_opaque
    from graphprune.stages.stage import get_stage

    cost = model_cost(model, batch_of_one(model))
    counts = weight_counts(model)
    weights, skips = prunable_weights(model)
    operators = Counter(node.op_type for node in cost.nodes)
    return {
        "stage": get_stage(model).value,
        "opset": model.opset_imports.get(""),
        "producer": " ".join(filter(None, (model.producer_name, model.producer_version))),
        "inputs": [str(info) for info in tensor_infos(model.graph.inputs)],
        "outputs": [str(info) for info in tensor_infos(model.graph.outputs)],
        "operators": {
            name: {"count": count, "macs": _total([node.macs for node in cost.nodes if node.op_type == name])}
            for name, count in operators.most_common()
        },
        "opaque": [describe(node) for node in model.graph.all_nodes() if is_opaque(model, node)],
        "parameters": cost.parameters,
        "weight_bytes": cost.weight_bytes,
        "macs": cost.macs,
        "prunable": [
            {
                "name": weight.name,
                "node": weight.node.name,
                "operator": weight.node.op_type,
                "shape": list(weight.shape),
                "sparsity": counts[weight.name].sparsity,
                "nonfinite": counts[weight.name].nonfinite,
                "pattern": _pattern(weight) if counts[weight.name].zeros else None,
                "layout": "dense",
                "bytes": weight.tensor.nbytes,
            }
            for weight in weights
        ],
        "packed": describe_packed(model),
        "not_prunable": [
            {**asdict(skip), "sparsity": counts[skip.node].sparsity if skip.node in counts else None} for skip in skips
        ],
    }


def _pattern(weight: LinearWeight) -> str | None:
    from graphprune.analysis.sparsity import nonzero_mask
    from graphprune.packed.summary import pattern_of

    how = weight.quantization
    nonzero = nonzero_mask(weight.tensor) if how is None else weight.tensor.numpy() != how.zero_point
    rows = weight.axes.rows(nonzero)  # [outputs, positions, inputs]
    return pattern_of(rows.swapaxes(1, 2), max(1, int(weight.tensor.dtype.itemsize)))


def _total(amounts: list[int | None]) -> int | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None


def _print(summary: dict[str, Any]) -> None:
    producer = f", from {summary['producer']}" if summary["producer"] else ""
    print_line(f"{summary['file']}: stage {summary['stage']}, opset {summary['opset']}{producer}")
    print_line(
        f"{summary['parameters']:,} parameters in {summary['weight_bytes'] / 1e6:,.1f} MB, "
        f"{_count(summary['macs'])} multiply-accumulates"
    )
    for key in ("inputs", "outputs"):
        for info in summary[key]:
            print_line(f"{key[:-1]} {info}")
    operators = [(name, entry["count"], _count(entry["macs"])) for name, entry in summary["operators"].items()]
    print_table("operators", ("operator", ">nodes", ">multiply-accumulates"), operators)
    if summary["opaque"]:
        print_table(
            "opaque: neither ONNX nor the file defines them", ("node",), ((node,) for node in summary["opaque"])
        )
    if summary["prunable"]:
        columns = ("weight", "read by", "shape", ">zeros", "pattern", "layout", ">bytes", ">NaN or infinite")
        print_table("prunable weights", columns, map(_prunable, summary["prunable"]))
    print_packed(summary["packed"])
    others = [(entry["node"], entry["reason"], entry["code"]) for entry in summary["not_prunable"]]
    if others:
        print_table("not prunable", ("weight", "why", "code"), others)


def _prunable(entry: dict[str, Any]) -> tuple[object, ...]:
    return (
        *(entry["name"], entry["operator"], entry["shape"], f"{entry['sparsity']:.1%}", entry["pattern"] or ""),
        *(entry["layout"], f"{entry['bytes']:,}", entry["nonfinite"] or ""),
    )


def _count(amount: int | None) -> str:
    return "unknown" if amount is None else f"{amount:,}"
