"""`graphprune compile`: from a model file to one file of machine code with the weights inside, or to an operator."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphprune.cli.fallback import described_pieces, measured_share, print_hosted
from graphprune.cli.folding import load_fixed
from graphprune.cli.options import (
    Fallback,
    InputShapes,
    InputValues,
    Json,
    Target,
    Threads,
    Tune,
    check_output_path,
    parse_input_shapes,
)
from graphprune.cli.output import print_json, print_line, print_table, progress
from graphprune.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphprune_runtime.description import ProgramNote
    from graphprune_runtime.interface import Session, TensorInfo
    from graphprune_runtime.session import CompiledSession


def compile_command(  # noqa: PLR0913, PLR0917 - one argument an option
    source: Annotated[Path, typer.Argument(metavar="IN", help="Model, an .onnx file.")],
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="Compiled file to write: .so, or .a or .o to link into a program.")
    ],
    runtime: Annotated[
        str | None,
        typer.Option(
            "--for", metavar="RUNTIME", help="onnxruntime: write OUT.onnx, which ONNX Runtime runs, and OUT.so."
        ),
    ] = None,
    target: Target = "native",
    threads: Threads = 1,
    input_shape: InputShapes = None,
    input_value: InputValues = None,
    tune: Tune = "none",
    fallback: Fallback = None,
    *,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Print how a batch is run, which kernel each weight is given and why, and how values lie."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Compile a model for one processor; each weight is given the kernel that is fastest for its zeros."""
    from graphprune.compiler.compile import compile as compile_model
    from graphprune.compiler.custom_op import export_for_onnxruntime
    from graphprune.compiler.dense_zeros import dense_zeros
    from graphprune_runtime.file import STATIC_SUFFIXES
    from graphprune_runtime.loading import COMPILED_SUFFIXES
    from graphprune_runtime.session import CompiledSession

    shapes = parse_input_shapes(input_shape)
    _check_runtime(runtime, fallback)
    check_output_path(output, [".onnx"] if runtime else (*COMPILED_SUFFIXES, *STATIC_SUFFIXES), source)
    start = time.perf_counter()
    session: Session
    with progress(f"compiling {source}"):
        model = load_fixed(source, input_value)
        if runtime:
            session = export_for_onnxruntime(model, output, target, threads, shapes, tune)
        else:
            session = compile_model(model, target, threads, input_shapes=shapes, tune=tune, fallback=fallback)
            session.save(output)
    seconds = time.perf_counter() - start
    assert isinstance(session, CompiledSession)  # the backend is TVM's
    warnings = [str(skip) for skip in dense_zeros(model, session)]
    share = measured_share(model, session) if session.description.hosted else 0.0
    files = [output, output.with_suffix(".so")] if runtime else [output]
    if json:
        print_json({**_described(session, files, target, seconds), "hosted_share": share, "warnings": warnings})
        return
    if explain:
        print_choices(session)
    _print_costs(session, share, warnings)
    written = " and ".join(map(str, files))
    print_line(f"{written}: {_nbytes(files) / 1e6:.1f} MB for {target}, compiled in {seconds:.1f} s")


def _print_costs(session: CompiledSession, share: float | str, warnings: Sequence[str]) -> None:
    """Print what runs on ONNX Runtime, and which zeros save no time."""
    for program in session.description.programs:
        if program.hosted:
            print_hosted(program, share)
    for warning in warnings:
        print_line(f"warning: {warning}")


def _nbytes(files: Sequence[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def _check_runtime(runtime: str | None, fallback: str | None) -> None:
    """Refuse a runtime that no operator is written for.

    Raises:
        InputError: it is another one than ONNX Runtime, or some nodes are to run outside the operator.
    """
    if runtime not in {None, "onnxruntime"}:
        raise InputError(f"--for is {runtime!r}, expected onnxruntime", code="GP620")
    if runtime and fallback:
        message = "--fallback goes into a .so file that Python loads, not together with --for onnxruntime"
        raise InputError(message, code="GP498")


def _described(session: CompiledSession, files: Sequence[Path], target: str, seconds: float) -> dict[str, Any]:
    """What `--json` prints: the first of the files, what it takes and gives, and what `--explain` shows."""
    return {
        "output": str(files[0]),
        "bytes": _nbytes(files),
        "target": target,
        "seconds": seconds,
        "inputs": [_tensor(info) for info in session.get_inputs()],
        "outputs": [_tensor(info) for info in session.get_outputs()],
        "programs": [_described_program(program) for program in session.description.programs],
    }


def _described_program(program: ProgramNote) -> dict[str, Any]:
    return {
        "inputs": [_tensor(info) for info in program.inputs],
        "batch": program.batch._asdict(),
        "kernels": [note._asdict() for note in program.kernels],
        "layouts": [note._asdict() for note in program.layouts],
        "calls": [call._asdict() for call in program.calls],
        "pieces": described_pieces(program),
    }


def _tensor(info: TensorInfo) -> dict[str, Any]:
    return {"name": info.name, "dtype": info.dtype.name, "shape": list(info.shape)}


CONVERSIONS = ("copy", "pad", "cut", "put_together")
"""Kernels that compute nothing and only change the memory layout for the next one."""


def print_choices(session: CompiledSession) -> None:
    """Print for each program how a batch is run, its kernels, memory layouts, and conversions between them."""
    for program in session.description.programs:
        print_line(f"for {', '.join(map(str, program.inputs))}")
        _print_program(program)


def _print_program(program: ProgramNote) -> None:
    if (batch := program.batch).samples != 1:
        print_line(f"batch: {batch.samples or 'any number of'} samples, one after another: {batch.why}")
    else:
        print_line(f"batch: at once: {batch.why}")
    kernels = ((note.node, ", ".join(note.eligible), note.kernel, note.why) for note in program.kernels)
    print_table("kernels", ("node", "eligible", "picked", "why"), kernels)
    if program.layouts:
        layouts = ((note.value, list(note.shape), list(note.order)) for note in program.layouts)
        print_table("values that do not lie row-major", ("value", "shape", "axes, slowest first"), layouts)
    moved = [(name, [call for call in program.calls if call.kernel == name]) for name in CONVERSIONS]
    converted = ((name, len(calls), f"{sum(call.nbytes for call in calls) / 1e6:.2f}") for name, calls in moved)
    print_table("conversions", ("kernel", ">calls", ">MB"), converted)
