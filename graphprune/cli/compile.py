"""`graphprune compile`: from a model file to one file of machine code with the weights inside."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphprune.cli.options import InputShapes, Json, Target, Threads, Tune, check_output_path, parse_input_shapes
from graphprune.cli.output import print_json, print_line, print_table, progress

if TYPE_CHECKING:
    from graphprune_runtime.interface import Session, TensorInfo
    from graphprune_runtime.session import CompiledSession


def compile_command(  # noqa: PLR0913 - one argument an option
    source: Annotated[Path, typer.Argument(metavar="IN", help="Model, an .onnx file.")],
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="Compiled file to write: .so, or .a or .o to link into a program.")
    ],
    target: Target = "native",
    threads: Threads = 1,
    input_shape: InputShapes = None,
    tune: Tune = "none",
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
    from graphprune.frontends.onnx_file import load
    from graphprune_runtime.file import STATIC_SUFFIXES
    from graphprune_runtime.loading import COMPILED_SUFFIXES
    from graphprune_runtime.session import CompiledSession

    shapes = parse_input_shapes(input_shape)
    check_output_path(output, (*COMPILED_SUFFIXES, *STATIC_SUFFIXES))
    start = time.perf_counter()
    with progress(f"compiling {source}"):
        session = compile_model(load(source), target, threads, input_shapes=shapes, tune=tune)
        session.save(output)
    seconds = time.perf_counter() - start
    if json:
        print_json(_described(session, output, target, seconds))
        return
    if explain and isinstance(session, CompiledSession):
        print_choices(session)
    print_line(f"{output}: {output.stat().st_size / 1e6:.1f} MB for {target}, compiled in {seconds:.1f} s")


def _described(session: Session, output: Path, target: str, seconds: float) -> dict[str, Any]:
    """What `--json` prints: the file, what it takes and gives, and what `--explain` shows."""
    from graphprune_runtime.session import CompiledSession

    assert isinstance(session, CompiledSession)  # the backend is TVM's
    return {
        "output": str(output),
        "bytes": output.stat().st_size,
        "target": target,
        "seconds": seconds,
        "inputs": [_tensor(info) for info in session.get_inputs()],
        "outputs": [_tensor(info) for info in session.get_outputs()],
        "batch": session.batch._asdict(),
        "kernels": [note._asdict() for note in session.kernels],
        "layouts": [note._asdict() for note in session.layouts],
        "calls": [call._asdict() for call in session.calls],
    }


def _tensor(info: TensorInfo) -> dict[str, Any]:
    return {"name": info.name, "dtype": info.dtype.name, "shape": list(info.shape)}


CONVERSIONS = ("copy", "pad", "cut", "put_together")
"""Kernels that compute nothing and only change the memory layout for the next one."""


def print_choices(session: CompiledSession) -> None:
    """Print how a batch is run, which kernel each weight was given, memory layouts, and conversions between them."""
    if (batch := session.batch).samples != 1:
        print_line(f"batch: {batch.samples or 'any number of'} samples, one after another: {batch.why}")
    else:
        print_line(f"batch: at once: {batch.why}")
    kernels = ((note.node, ", ".join(note.eligible), note.kernel, note.why) for note in session.kernels)
    print_table("kernels", ("node", "eligible", "picked", "why"), kernels)
    if session.layouts:
        layouts = ((note.value, list(note.shape), list(note.order)) for note in session.layouts)
        print_table("values that do not lie row-major", ("value", "shape", "axes, slowest first"), layouts)
    moved = [(name, [call for call in session.calls if call.kernel == name]) for name in CONVERSIONS]
    converted = ((name, len(calls), f"{sum(call.nbytes for call in calls) / 1e6:.2f}") for name, calls in moved)
    print_table("conversions", ("kernel", ">calls", ">MB"), converted)
