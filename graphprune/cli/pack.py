"""`graphprune pack`: store weights without their zeros, in a file that any runtime can run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from graphprune.cli.folding import load_fixed
from graphprune.cli.options import InputValues, Json, check_output_path
from graphprune.cli.output import print_json, progress
from graphprune.cli.storage import describe_packed, print_dense, print_packed, print_total


def pack_command(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Pruned model, an .onnx file.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Packed model to write, an .onnx file.")],
    layout: Annotated[
        str,
        typer.Option(
            help="'auto', 'rows', 'bitmask', an N:M form such as '2:4', or 'block 4x1'; 'auto' takes the smallest."
        ),
    ] = "auto",
    min_sparsity: Annotated[float, typer.Option(help="Share of zeros from which a weight is stored in rows.")] = 0.6,
    input_value: InputValues = None,
    *,
    json: Json = False,
) -> None:
    """Store weights without their zeros: the same function, in a smaller file."""
    from graphprune.frontends.onnx_file import save
    from graphprune.passes.base import run_pass
    from graphprune.passes.pack_weights import PackWeights

    check_output_path(output, [".onnx"], source)
    pass_ = PackWeights(min_sparsity=min_sparsity, layout=layout)
    with progress(f"packing {source}"):
        result = run_pass(pass_, load_fixed(source, input_value))
        save(result.model, output)
        skips = [asdict(skip) for skip in result.skips]
        weights = describe_packed(result.model)
    if json:
        print_json({"output": str(output), "weights": weights, "skips": skips})
        return
    print_packed(weights)
    print_dense(skips)
    print_total(weights, output)
