"""How weights are stored, as data and as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from graphprune.cli.output import print_line, print_table

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir

_SIZES = (">bytes dense", ">bytes packed", ">ratio")


def describe_packed(model: ir.Model) -> list[dict[str, Any]]:
    """Return the packed weights of a model with their layouts and bytes."""
    from graphprune.packed.summary import stored_weights

    return [asdict(weight) for weight in stored_weights(model)]


def print_packed(weights: Sequence[dict[str, Any]]) -> None:
    """Print packed weights, if there are any."""
    if weights:
        columns = ("weight", "read by", "shape", ">zeros", "pattern", "layout", *_SIZES)
        print_table("packed weights", columns, map(_row, weights))


def print_dense(skips: Sequence[dict[str, Any]]) -> None:
    """Print what stays dense and why, if anything does."""
    if skips:
        rows = ((skip["node"], skip["reason"], skip["code"]) for skip in skips)
        print_table("weights that stay dense", ("weight", "why", "code"), rows)


def print_total(weights: Sequence[dict[str, Any]], output: Path) -> None:
    """Print how many weights are packed, and in how many bytes."""
    if not weights:
        print_line(f"{output}: no weight is packed")
        return
    dense, stored = (sum(weight[f"{key}_bytes"] for weight in weights) for key in ("dense", "stored"))
    print_line(f"{output}: {len(weights)} packed weights, {stored:,} of {dense:,} bytes ({stored / dense:.1%})")


def _row(weight: dict[str, Any]) -> tuple[object, ...]:
    dense, stored = weight["dense_bytes"], weight["stored_bytes"]
    return (
        *(weight["name"], weight["operator"], list(weight["shape"]), f"{weight['sparsity']:.1%}"),
        *(weight["pattern"] or "", weight["layout"]),
        *(f"{dense:,}", f"{stored:,}", f"{stored / dense:.1%}"),
    )
