"""Options that several commands share, and the checks of their values."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from graphprune.errors import InputError, ModelFileError
from graphprune.graph.input_shapes import Shape

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Threads = Annotated[int, typer.Option(help="Threads of one run.")]
Target = Annotated[str, typer.Option(help="Processor to compile for, see `graphprune targets`.")]
Tune = Annotated[
    str, typer.Option(help="How kernels are chosen: none (by estimate), quick (measure the likely ones) or full.")
]
Fallback = Annotated[
    str | None,
    typer.Option(
        metavar="RUNTIME", help="onnxruntime: run the nodes that have no kernel there, inside the same session."
    ),
]
InputShapes = Annotated[
    list[str] | None,
    typer.Option(
        "--input-shape",
        metavar="NAME:1x3x224x224",
        help="Extents of an input that leaves some open; NAME:1x16,1x32 for several.",
    ),
]
InputValues = Annotated[
    list[str] | None,
    typer.Option("--input-value", metavar="NAME=16000", help="The number that an input always is: constant."),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the random inputs.")]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s)")
_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


def parse_input_shapes(texts: Iterable[str] | None) -> dict[str, list[Shape]]:
    """Read `name:1x3x224x224` texts, or `name:1x16,1x32` for several shapes; a name may hold colons itself.

    Raises:
        InputError: a text has another form, or a name occurs twice.
    """
    shapes: dict[str, list[Shape]] = {}
    for text in texts or ():
        name, _, extents = text.rpartition(":")
        if not name or not all(re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", each) for each in extents.split(",")):
            raise InputError(f"input shape {text!r} is not of the form name:1x3x224x224", code="GP601")
        if name in shapes:
            raise InputError(f"input shape of {name!r} is given twice", code="GP601")
        shapes[name] = [tuple(int(extent) for extent in each.split("x")) for each in extents.split(",")]
    return shapes


def parse_input_values(texts: Iterable[str] | None) -> dict[str, float]:
    """Read `name=16000` texts.

    Raises:
        InputError: a text has another form, or a name occurs twice.
    """
    values: dict[str, float] = {}
    for text in texts or ():
        name, _, number = text.rpartition("=")
        if not name or (value := _number(number)) is None:
            raise InputError(f"input value {text!r} is not of the form NAME=16000", code="GP444")
        if name in values:
            raise InputError(f"input value of {name!r} is given twice", code="GP444")
        values[name] = value
    return values


def _number(text: str) -> float | None:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return None


def parse_duration(text: str) -> float:
    """Return the milliseconds of `12ms`, `800us` or `1.5s`.

    Raises:
        InputError: It has another form (GP648).
    """
    if (found := _DURATION.fullmatch(text)) is None:
        raise InputError(f"latency {text!r} is not of the form 12ms, 800us or 1.5s", code="GP648")
    return float(found[1]) * _MS[found[2]]


def check_output_path(path: Path, suffixes: Iterable[str], source: Path | None = None) -> None:
    """Refuse a file that could not be written, before the work that would be lost.

    Raises:
        InputError: the suffix is not one of `suffixes`, or the file is `source`.
        ModelFileError: its folder is missing, or it is a folder itself.
    """
    allowed = list(suffixes)
    if path.suffix.lower() not in allowed:
        raise InputError(f"output {path} has suffix {path.suffix!r}, expected {' or '.join(allowed)}", code="GP602")
    if path.is_dir():
        raise ModelFileError(f"output {path} is a folder", code="GP603")
    if not path.parent.is_dir():
        raise ModelFileError(f"output {path}: {path.parent} is not a folder", code="GP603")
    if source is not None and path.exists() and path.samefile(source):
        raise InputError(f"output {path} is the input file", code="GP604")
