"""`graphprune harden`: replace soft masks by exact zeros, and write the model again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphprune.cli.options import Json, check_output_path
from graphprune.cli.output import print_json, print_line, print_table, progress

if TYPE_CHECKING:
    from graphprune.masked.hardening import HardenedWeight


def harden_command(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Masked model, an .onnx file.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Hardened model to write, an .onnx file.")],
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Also where the ramp has not ended; the whole budget goes.")
    ] = False,
    json: Json = False,
) -> None:
    """Set what soft masks let go to zero and remove the masks; shows what the masks were hiding."""
    from graphprune.frontends.onnx_file import load, save
    from graphprune.masked.calls import mask_calls
    from graphprune.masked.hardening import harden
    from graphprune.passes.base import run_pass
    from graphprune.passes.harden_masks import HardenMasks

    check_output_path(output, [".onnx"], source)
    with progress(f"hardening {source}"):
        model = load(source)
        hard = run_pass(HardenMasks(force=force), model).model
        weights = [harden(call) for call in mask_calls(model)]
        save(hard, output)
    if json:
        print_json({"output": str(output), "weights": [_entry(weight) for weight in weights]})
    else:
        _print(weights, output)


def _entry(weight: HardenedWeight) -> dict[str, Any]:
    shape = list(weight.array.shape)
    return {
        "name": weight.name,
        "shape": shape,
        "zeros": weight.zeros,
        "gap": weight.gap,
        "undecided": weight.undecided,
    }


def _print(weights: Sequence[HardenedWeight], output: Path) -> None:
    rows = [
        (weight.name, list(weight.array.shape), weight.zeros, f"{weight.gap:.2e}", f"{weight.undecided:.2%}")
        for weight in weights
    ]
    print_table("hardened", ("weight", "shape", ">zeros", ">soft-to-hard gap", ">undecided"), rows)
    print_line(f"{output}: {sum(weight.zeros for weight in weights)} zeros in {len(weights)} weights")
