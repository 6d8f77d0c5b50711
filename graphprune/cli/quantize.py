"""`graphprune quantize`: a model on integers of 8 bits, with ranges from samples."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphprune.cli.calibration_options import Calibration, MostSamples, Preprocess
from graphprune.cli.folding import load_fixed
from graphprune.cli.options import InputValues, Json, check_output_path
from graphprune.cli.output import print_json, print_line, print_table, progress
from graphprune.cli.preprocessing import by_input, read_calibration

if TYPE_CHECKING:
    from graphprune.calibration.quantize import QuantizeResult


def quantize_command(  # noqa: PLR0913, PLR0917 - one argument an option
    source: Annotated[Path, typer.Argument(metavar="IN", help="Dense or pruned model, an .onnx file.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Quantized model to write, an .onnx file.")],
    calibration: Calibration,
    preprocess: Preprocess = None,
    samples: MostSamples = 128,
    method: Annotated[
        str, typer.Option(help="How ranges are taken: minmax (all that was seen), entropy or percentile.")
    ] = "minmax",
    keep: Annotated[
        list[str] | None, typer.Option(metavar="NODE", help="A node that stays in float32; may be repeated.")
    ] = None,
    max_error: Annotated[
        float | None,
        typer.Option(metavar="0.01", help="What outputs may err by: the nodes that add most stay in float32."),
    ] = None,
    input_value: InputValues = None,
    *,
    repair: Annotated[
        bool, typer.Option(help="Equalize channels and correct biases where the outputs then err less.")
    ] = True,
    json: Json = False,
) -> None:
    """Write weights and activations as integers of 8 bits, with ranges taken from samples; zeros stay zero."""
    from graphprune.calibration.quantize import quantize
    from graphprune.frontends.onnx_file import save

    check_output_path(output, [".onnx"], source)
    given = read_calibration(calibration, preprocess)
    assert given is not None, "the option must be given"
    with progress(f"quantizing {source}", samples) as advance:
        model = load_fixed(source, input_value)
        result = quantize(
            model,
            by_input(given, model),
            method=method,
            keep=keep or (),
            max_error=max_error,
            repair=repair,
            most_samples=samples,
            on_sample=advance,
        )
        save(result.model, output)
    report = _report(result, source, output)
    if json:
        print_json(report)
    else:
        _print(result, report)


def _report(result: QuantizeResult, source: Path, output: Path) -> dict[str, Any]:
    return {
        "output": str(output),
        "bytes": output.stat().st_size,
        "source_bytes": source.stat().st_size,
        "samples": result.samples,
        "errors": result.errors,
        "quantized": [{"node": each.node, "detail": each.detail} for each in result.rewrites],
        "repairs": [{"rule": each.rule, "node": each.node, "detail": each.detail} for each in result.repairs],
        "kept": [{"node": each.node, "reason": each.reason, "code": each.code} for each in result.skips],
    }


def _print(result: QuantizeResult, report: dict[str, Any]) -> None:
    if result.skips:
        print_table(
            "in float32", ("node", "why"), [(each.node, f"{each.reason} [{each.code}]") for each in result.skips]
        )
    for rule, count in Counter(each.rule for each in result.repairs).items():
        print_line(f"{rule}: {count} nodes")
    for name, error in result.errors.items():
        print_line(f"output {name}: error {error:.2%} of its size, on the samples")
    done, possible = len(result.rewrites), len(result.rewrites) + len(result.skips)
    megabytes, before = (report[key] / 1e6 for key in ("bytes", "source_bytes"))
    size = f"{megabytes:.1f} MB, {before:.1f} before"
    print_line(f"{report['output']}: {done} of {possible} nodes on 8 bits, {result.samples} samples, {size}")
