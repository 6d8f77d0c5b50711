"""`graphprune bench`: how fast models are beside each other and beside ONNX Runtime."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphprune.cli.inputs import Inputs, fixed_models, read_samples
from graphprune.cli.options import (
    Fallback,
    InputShapes,
    InputValues,
    Json,
    Seed,
    Threads,
    Tune,
    check_output_path,
    parse_input_shapes,
    parse_input_values,
)
from graphprune.cli.output import print_json, print_line, print_table, progress
from graphprune.cli.profile import draw, print_profile, profile_sides
from graphprune.errors import InputError

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphprune.measuring.benchmark import BenchReport
    from graphprune_runtime.interface import Session


class Rival(StrEnum):
    """What `.onnx` files are run on besides compiled code."""

    ONNXRUNTIME = "onnxruntime"


def bench_command(  # noqa: PLR0913, PLR0917 - one argument an option
    models: Annotated[list[Path], typer.Argument(metavar="MODEL", help="Compiled files, or .onnx files to compile.")],
    against: Annotated[
        Rival | None, typer.Option(help="Also run every .onnx file on this; the last is the baseline.")
    ] = None,
    threads: Threads = 1,
    runs: Annotated[
        int | None, typer.Option(help="Timed runs of each side; by default a second of the fastest, at least 30.")
    ] = None,
    warmup: Annotated[int, typer.Option(help="Runs of each side before those.")] = 5,
    seed: Seed = 0,
    input_shape: InputShapes = None,
    inputs: Inputs = None,
    input_value: InputValues = None,
    tune: Tune = "none",
    fallback: Fallback = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Draw where the time of the one model goes; as --profile.")
    ] = None,
    *,
    profile: Annotated[bool, typer.Option("--profile", help="Also time each kernel of compiled code.")] = False,
    json: Json = False,
) -> None:
    """Time models in turns on the same input, random or the first given; the last side is the baseline."""
    from graphprune.graph.input_shapes import one_set
    from graphprune.measuring.benchmark import bench
    from graphprune.measuring.environment import pinned
    from graphprune.verification.feeds import merged_limits, random_feed
    from graphprune.verification.samples import feeds_of
    from graphprune.verification.shapes import merged_sets
    from graphprune_runtime.loading import check_threads

    samples = read_samples(inputs, given_shapes := parse_input_shapes(input_shape))
    shapes = one_set(given_shapes)
    check_threads(threads)
    _check_picture(picture, models)
    with pinned(threads):
        fixed = fixed_models(models, parse_input_values(input_value))
        graphs = _load_graphs(models, fixed, needed=against is not None)
        sides = _open_compiled(models, graphs, threads, shapes, tune, fallback)
        if against is Rival.ONNXRUNTIME:
            sides |= _open_rivals(models, fixed, threads)
        infos = next(iter(sides.values())).get_inputs()
        if samples is None:
            limits = merged_limits(graphs.values())
            feed = random_feed(infos, seed, shapes or merged_sets(sides.values())[0], limits)
        else:
            feed = next(feeds_of(samples, infos))
        with progress("timing", None if runs is None else runs + warmup) as advance:
            report = bench(sides, feed, threads, runs, warmup, on_round=advance)
        profiles = profile_sides(sides, feed, threads, report.runs) if profile or picture else {}
    if picture:
        draw(picture, profiles)
    if json:
        each = {label: found.to_dict() for label, found in profiles.items()}
        print_json(report.to_dict() | ({"profiles": each} if each else {}))
        return
    print_report(report)
    for label, found in profiles.items():
        print_profile(label, found)


def _check_picture(picture: Path | None, models: list[Path]) -> None:
    if picture is None:
        return
    check_output_path(picture, (".svg",))
    if len(models) > 1:
        raise InputError(f"{picture} shows one model, {len(models)} are given", code="GP611")


def _load_graphs(paths: list[Path], fixed: list[Path | ir.Model], *, needed: bool) -> dict[Path, ir.Model]:
    from graphprune.frontends.onnx_file import load
    from graphprune_runtime.loading import is_compiled

    graphs = {
        path: load(model) if isinstance(model, Path) else model
        for path, model in zip(paths, fixed, strict=True)
        if not is_compiled(path)
    }
    if needed and not graphs:
        raise InputError("no .onnx file is given to run on onnxruntime", code="GP607")
    return graphs


def _open_compiled(
    paths: list[Path],
    graphs: dict[Path, ir.Model],
    threads: int,
    shapes: dict[str, tuple[int, ...]],
    tune: str,
    fallback: str | None,
) -> dict[str, Session]:
    from graphprune.compiler.compile import compile as compile_model
    from graphprune_runtime.loading import load_session

    sides: dict[str, Session] = {}
    for path in paths:
        with progress(f"opening {path}"):
            if path in graphs:
                session = compile_model(
                    graphs[path], "native", threads, input_shapes=shapes, tune=tune, fallback=fallback
                )
                sides[f"{path} (graphprune)"] = session
            else:
                sides[str(path)] = load_session(path, threads)
    return sides


def _open_rivals(paths: list[Path], fixed: list[Path | ir.Model], threads: int) -> dict[str, Session]:
    """The `.onnx` files on ONNX Runtime, as they lie on disk unless a value is fixed in them."""
    from graphprune.backends.onnxruntime import session_for, session_for_file
    from graphprune_runtime.loading import is_compiled

    return {
        f"{path} (onnxruntime)": session_for_file(model, threads)
        if isinstance(model, Path)
        else session_for(model, threads)
        for path, model in zip(paths, fixed, strict=True)
        if not is_compiled(path)
    }


def print_report(report: BenchReport) -> None:
    """Print the times, and what they were taken with."""
    columns = ("side", ">p50 ms", ">p90 ms", ">p99 ms", ">speed-up")
    rows = (
        (side.label, *(f"{ms:.3f}" for ms in (side.median_ms, side.p90_ms, side.p99_ms)), f"{side.speedup:.2f}x")
        for side in report.timings
    )
    print_table(f"{report.runs} runs in turns, threads: {report.threads}", columns, rows)
    environment = report.environment
    versions = ", ".join(f"{name} {version}" for name, version in environment.versions.items())
    commit = f", commit {environment.commit}" if environment.commit else ""
    print_line(f"{environment.cpu}; {versions}{commit}")
