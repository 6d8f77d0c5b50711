"""`graphprune fold`: take zero channels out of a model, and write what is left."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphprune.cli.folding import describe_fold, load_for_channels, print_fold
from graphprune.cli.options import InputValues, Json, check_output_path
from graphprune.cli.output import print_json, progress


def fold_command(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Model with zero channels, an .onnx file.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Smaller model to write, an .onnx file.")],
    input_value: InputValues = None,
    *,
    json: Json = False,
) -> None:
    """Take channels that are zero out of the graph itself: the same function, with smaller tensors."""
    from graphprune.frontends.onnx_file import save
    from graphprune.passes.base import run_pass
    from graphprune.passes.fold_channels import FoldChannels

    check_output_path(output, [".onnx"], source)
    with progress(f"folding {source}"):
        model = load_for_channels(source, input_value)
        result = run_pass(FoldChannels(), model)
        save(result.model, output)
        summary = {"output": str(output), **describe_fold(model, result)}
    if json:
        print_json(summary)
    else:
        print_fold(summary, output)
