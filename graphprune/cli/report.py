"""`graphprune report`: models beside each other as a page."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from graphprune.cli.calibration_options import MostSamples, Preprocess
from graphprune.cli.optimize import MetricText, chosen_metric, print_report, steps
from graphprune.cli.options import Json, Target, Threads, check_output_path
from graphprune.cli.output import print_json, print_line
from graphprune.cli.preprocessing import by_input, read_calibration
from graphprune.errors import InputError


def report_command(  # noqa: PLR0913, PLR0917 - one argument an option
    dense: Annotated[Path, typer.Argument(metavar="DENSE", help="What the others are to take the place of.")],
    others: Annotated[list[Path], typer.Argument(metavar="OTHER", help="Pruned or quantized models, .onnx files.")],
    samples: Annotated[list[str], typer.Option("--input", metavar="DATA", help="Real inputs, as for verify.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.html", help="Page to write.")],
    preprocess: Preprocess = None,
    most_samples: MostSamples = 128,
    metric: MetricText = None,
    target: Target = "native",
    threads: Threads = 1,
    *,
    json: Json = False,
) -> None:
    """Compile, verify, time and profile models, and write one page that shows how good, fast and large they are."""
    from graphprune.frontends.onnx_file import load
    from graphprune.optimization.compare import compare
    from graphprune.optimization.search import Commands
    from graphprune.reporting.page import write_page

    check_output_path(output, [".html"])
    if len({dense, *others}) <= len(others):
        raise InputError("a model is given twice", code="GP605")
    given = read_calibration(samples, preprocess)
    assert given is not None, "the option must be given"
    with steps() as say:
        model = load(dense)
        report = compare(
            model,
            {str(path): load(path) for path in others},
            by_input(given, model),
            metric=chosen_metric(metric),
            target=target,
            threads=threads,
            most_samples=most_samples,
            commands=Commands(source=str(dense), run=shlex.join(["graphprune", *sys.argv[1:]])),
            on_step=say,
        )
    write_page(report, output)
    if json:
        print_json(report.model_dump(mode="json"))
        return
    print_report(report)
    print_line(f"{output}: the same as a page")
