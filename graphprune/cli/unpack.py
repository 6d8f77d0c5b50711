"""`graphprune unpack`: store packed weights densely again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphprune.cli.options import Json, check_output_path
from graphprune.cli.output import print_json, print_line, progress
from graphprune.cli.storage import describe_packed, print_packed


def unpack_command(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Packed model, an .onnx file.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Model with dense weights to write, an .onnx file.")],
    *,
    json: Json = False,
) -> None:
    """Store packed weights densely again, bit for bit: ordinary ONNX."""
    from graphprune.frontends.onnx_file import load, save
    from graphprune.passes.base import run_pass
    from graphprune.passes.unpack_weights import UnpackWeights

    check_output_path(output, [".onnx"], source)
    with progress(f"unpacking {source}"):
        model = load(source)
        result = run_pass(UnpackWeights(), model)
        save(result.model, output)
        weights = describe_packed(model)
    if json:
        print_json({"output": str(output), "weights": weights})
        return
    print_packed(weights)
    print_line(f"{output}: {len(weights)} dense weights")
