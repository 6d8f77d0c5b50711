"""`graphprune optimize`: from a file to the fastest file within a bound."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from graphprune.cli.calibration_options import Calibration, MostSamples, Preprocess
from graphprune.cli.exit_codes import FAILED_VERIFICATION
from graphprune.cli.folding import load_fixed
from graphprune.cli.inputs import imported
from graphprune.cli.options import InputValues, Json, Target, Threads, parse_duration
from graphprune.cli.output import print_json, print_line, print_table, printable
from graphprune.cli.preprocessing import by_input, read_calibration
from graphprune.errors import ModelFileError

if TYPE_CHECKING:
    from graphprune.reporting.report import CandidateReport, Report

MetricText = Annotated[
    str | None,
    typer.Option(
        "--metric",
        metavar="agreement|closeness|package.module:function",
        help="How good a model is, more is better: a function of a session, or how close it is to the dense model.",
    ),
]


def optimize_command(  # noqa: PLR0913, PLR0917 - one argument an option
    source: Annotated[Path, typer.Argument(metavar="IN", help="Dense model, an .onnx file.")],
    output: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="Folder for the files and the report.")],
    calibration: Calibration,
    preprocess: Preprocess = None,
    samples: MostSamples = 128,
    metric: MetricText = None,
    max_drop: Annotated[
        float | None, typer.Option(metavar="0.01", help="What the metric may lose; 0.01 if nothing is asked for.")
    ] = None,
    target_latency: Annotated[
        str | None, typer.Option(metavar="12ms", help="What a run may take, instead: the best file that fast.")
    ] = None,
    target: Target = "native",
    threads: Threads = 1,
    input_value: InputValues = None,
    *,
    json: Json = False,
) -> None:
    """Try fewer channels, zeros and integers on real inputs; write the fastest that is good enough, and a report."""
    from graphprune.optimization.optimize import optimize
    from graphprune.optimization.search import Commands

    _check_folder(output)
    most_ms = None if target_latency is None else parse_duration(target_latency)
    given = read_calibration(calibration, preprocess)
    assert given is not None, "the option must be given"
    commands = Commands(str(source), str(output), " ".join(map(shlex.quote, calibration)), _command())
    with steps() as say:
        model = load_fixed(source, input_value)
        report = optimize(
            model,
            output,
            by_input(given, model),
            metric=chosen_metric(metric),
            max_drop=max_drop,
            target_latency_ms=most_ms,
            target=target,
            threads=threads,
            most_samples=samples,
            commands=commands,
            on_step=say,
        )
    if json:
        print_json(report.model_dump(mode="json"))
    else:
        _print(report, output)
    if report.recommended is None:
        raise typer.Exit(FAILED_VERIFICATION)


def _check_folder(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise ModelFileError(f"output {path} is a file, expected a folder", code="GP603")
    if not path.absolute().parent.is_dir():
        raise ModelFileError(f"output {path}: {path.parent} is not a folder", code="GP603")


def _command() -> str:
    return shlex.join(["graphprune", *sys.argv[1:]])


@contextmanager
def steps() -> Iterator[Callable[[str], None]]:
    """Say what is being done, on stderr: by a line that is replaced in a terminal, by lines elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: console.print(printable(text), markup=False, highlight=False)
        return
    with console.status("reading", spinner="line") as status:
        yield lambda text: status.update(printable(text).replace("[", r"\["))


def chosen_metric(text: str | None) -> str | Callable[..., Any] | None:
    """Return the function that `--metric` names, or its word.

    Raises:
        InputError: There is no such function (GP568).
    """
    return None if text is None else (imported(text, "metric") or text)


def print_report(report: Report) -> None:
    """Print how good, fast and large each model is, and what is left out."""
    baseline = report.rivals[0].median_ms
    columns = ("", ">quality", ">p50 ms", ">speed-up", ">MB", ">expected ms", "file")
    rivals = (
        (each.name, f"{each.quality:.4g}", *_time(each.median_ms, baseline), "", "", "") for each in report.rivals
    )
    own = (_row(each, baseline, best=each.name == report.recommended) for each in (report.dense, *report.candidates))
    print_table(f"quality: {report.metric}", columns, [*rivals, *own])
    for each in report.refused:
        print_line(f"left out: {each.name}: {each.reason} [{each.code}]")


def _print(report: Report, folder: Path) -> None:
    print_report(report)
    print_line(f"{folder / 'report.html'}: the same as a page")
    if report.recommended is None:
        print_line(f"nothing is recommended: {report.why}")
        return
    chosen = next(each for each in (report.dense, *report.candidates) if each.name == report.recommended)
    print_line(f"recommended: {folder / str(chosen.compiled)}: {report.why}")


def _row(each: CandidateReport, baseline: float, *, best: bool) -> tuple[Any, ...]:
    expected = "" if each.predicted_ms is None else f"{each.predicted_ms:.3g}"
    megabytes = f"{(each.compiled_bytes or 0) / 1e6:.1f}"
    name = f"{each.name} *" if best else each.name
    return (
        name,
        f"{each.quality:.4g}",
        *_time(each.median_ms, baseline),
        megabytes,
        expected,
        each.compiled or each.model,
    )


def _time(ms: float, baseline: float) -> tuple[str, str]:
    return f"{ms:.3g}", f"{baseline / ms:.2f}x"
