"""`graphprune run`: one run of a model, from and to NumPy files."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from graphprune.cli.inputs import Inputs, fixed_models, read_samples
from graphprune.cli.options import (
    InputShapes,
    InputValues,
    Json,
    Seed,
    Threads,
    check_output_path,
    parse_input_shapes,
    parse_input_values,
)
from graphprune.cli.output import print_json, print_line, print_table, progress
from graphprune.files import atomic_write

if TYPE_CHECKING:
    from graphprune_runtime.interface import Session


def run_command(  # noqa: PLR0913 - one argument an option
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A compiled file, or an .onnx file, which runs on ONNX Runtime.")
    ],
    inputs: Inputs = None,
    output: Annotated[Path | None, typer.Option(help="Write the outputs to this .npz file.")] = None,
    threads: Threads = 1,
    seed: Seed = 0,
    input_shape: InputShapes = None,
    input_value: InputValues = None,
    *,
    json: Json = False,
) -> None:
    """Run a model once, on the first sample given or on random inputs, and say what came out."""
    from graphprune.graph.input_shapes import one_set
    from graphprune.verification.feeds import random_feed
    from graphprune.verification.samples import feeds_of
    from graphprune.verification.shapes import sets_to_draw
    from graphprune_runtime.loading import check_threads

    check_threads(threads)
    shapes = parse_input_shapes(input_shape)
    if output is not None:
        check_output_path(output, [".npz"])
    samples = read_samples(inputs, shapes)
    with progress(f"running {model}"):
        session, limits = _open(model, threads, parse_input_values(input_value))
        if samples is None:
            feed = random_feed(session.get_inputs(), seed, one_set(shapes) or sets_to_draw(session)[0], limits)
        else:
            feed = next(feeds_of(samples, session.get_inputs()))
        names = [info.name for info in session.get_outputs()]
        results = dict(zip(names, session.run(None, feed), strict=True))
    if output is not None:
        write_arrays(output, results)
    rows = [_summary(name, array) for name, array in results.items()]
    if json:
        print_json({"inputs": "given" if inputs else f"random, seed {seed}", "outputs": rows})
        return
    columns = ("output", "dtype", "shape", ">min", ">max", ">mean")
    print_table(f"outputs of {model}", columns, (row.values() for row in rows))
    if not inputs:
        print_line(f"inputs were drawn at random with seed {seed}")


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an `.npz` file; unlike `np.savez` it takes any name and never pickles."""
    with atomic_write(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            plain = array.astype(str) if array.dtype == object else array
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, plain, allow_pickle=False)


def _open(path: Path, threads: int, values: Mapping[str, float]) -> tuple[Session, dict[str, int]]:
    from graphprune_runtime.loading import is_compiled, load_session

    (model,) = fixed_models([path], values)
    if is_compiled(path):
        return load_session(path, threads), {}
    from graphprune.backends.onnxruntime import session_for, session_for_file
    from graphprune.frontends.onnx_file import load
    from graphprune.verification.feeds import index_limits

    if isinstance(model, Path):
        limits = index_limits(load(model))  # which refuses by name what ONNX Runtime would
        return session_for_file(model, threads), limits
    return session_for(model, threads), index_limits(model)


def _summary(name: str, array: np.ndarray) -> dict[str, Any]:
    numbers = array.astype(np.float64) if array.dtype != object and array.size else np.full(1, math.nan)
    statistics = {"min": numbers.min(), "max": numbers.max(), "mean": numbers.mean()}
    shown = {key: float(f"{value:.6g}") if math.isfinite(value) else None for key, value in statistics.items()}
    return {"name": name, "dtype": str(array.dtype), "shape": list(array.shape), **shown}
