"""`graphprune verify`: are two models the same function."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphprune.cli.exit_codes import FAILED_VERIFICATION
from graphprune.cli.inputs import Inputs, fixed_models, read_samples
from graphprune.cli.options import InputShapes, InputValues, Json, Seed, parse_input_shapes, parse_input_values
from graphprune.cli.output import print_json, print_line, print_table, progress

if TYPE_CHECKING:
    from graphprune.verification.first_difference import FirstDifference
    from graphprune.verification.report import OutputReport, QuantizedReport, VerifyReport


def verify_command(  # noqa: PLR0913, PLR0917 - one argument an option
    reference: Annotated[Path, typer.Argument(metavar="REFERENCE", help="What is right: an .onnx or a compiled file.")],
    candidate: Annotated[
        Path, typer.Argument(metavar="CANDIDATE", help="What is checked: an .onnx or a compiled file.")
    ],
    cases: Annotated[
        int | None, typer.Option(help="Random inputs to compare on, 3 unless said; of samples given, how many at most.")
    ] = None,
    rtol: Annotated[float | None, typer.Option(help="Relative tolerance, by default that of the type.")] = None,
    atol: Annotated[
        float | None, typer.Option(help="Absolute tolerance, by default relative to each output's largest value.")
    ] = None,
    seed: Seed = 0,
    input_shape: InputShapes = None,
    inputs: Inputs = None,
    input_value: InputValues = None,
    *,
    json: Json = False,
) -> None:
    """Compare the outputs of two models on random inputs, or on samples given; exit code 1 if they differ."""
    from graphprune.verification.verifier import verify

    shapes = parse_input_shapes(input_shape)
    samples = read_samples(inputs, shapes)
    with progress("verifying", cases) as advance:
        first, second = fixed_models((reference, candidate), parse_input_values(input_value))
        report = verify(
            *(first, second, cases, rtol, atol, seed), input_shapes=shapes, samples=samples, on_case=advance
        )
    if json:
        print_json(report.to_dict())
    else:
        print_report(report)
    if not report.passed:
        raise typer.Exit(FAILED_VERIFICATION)


def print_report(report: VerifyReport) -> None:
    """Print the errors of every output, and what else there is to know."""
    columns = (
        "output",
        ">max abs error",
        ">max rel error",
        ">error/spread",
        ">max |reference|",
        ">mismatches",
        "result",
    )
    verdict = "equal" if report.passed else "different"
    origin = "samples given" if report.seed is None else f"cases, seed {report.seed}"
    title = f"{verdict} on {report.cases} {origin}"
    print_table(title, columns, (_row(output) for output in report.outputs))
    for warning in report.warnings:
        print_line(f"warning: {warning}")
    if report.quantized:
        _print_quantized(report.quantized)
    if report.first_difference:
        print_line(f"first difference: {_place(report.first_difference)}")


def _print_quantized(found: QuantizedReport) -> None:
    """Print how integers differ that both graphs compute."""
    others = f" ({found.others} more have no partner)" if found.others else ""
    where = f"; the first: {_place(found.first_rounded)}" if found.first_rounded else ""
    print_line(
        f"levels: {found.differing} of {found.elements} elements of {found.values} quantized values{others} differ, "
        f"by at most {found.most_levels}, each value computed from the reference's integers{where}"
    )
    if found.reason:
        print_line(f"different: {found.reason}")


def _place(where: FirstDifference) -> str:
    return f"node {where.node!r} ({where.op_type}), value {where.value!r}"


def _row(output: OutputReport) -> tuple[object, ...]:
    found = output.difference
    spread = "-" if found.max_spread_error is None else f"{found.max_spread_error:.3g}"
    errors = (f"{found.max_abs_error:.3g}", f"{found.max_rel_error:.3g}", spread, f"{found.max_abs_reference:.3g}")
    return (output.name, *errors, found.mismatches, found.reason or _verdict(output))


def _verdict(output: OutputReport) -> str:
    if not output.difference.compared:
        return "nothing was compared"
    if output.is_constant:
        return "constant, nothing was compared"
    return "held to ties" if output.difference.ties else "ok"
