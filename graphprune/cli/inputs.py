"""Inputs on the command line: arrays by name, a `.npz` file, a folder of them, or a function that makes them."""

from __future__ import annotations

import importlib
import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from graphprune.errors import InputError
from graphprune.graph.input_shapes import Shape

if TYPE_CHECKING:
    import onnx_ir as ir

Samples = Iterable[Mapping[str, np.ndarray]]
"""Arrays by input name, a sample or several stacked ones at a time."""

Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        "--inputs",
        metavar="NAME=x.npy|data.npz|FOLDER|package.module:function",
        help="An input's array, or samples: a .npz file, a folder of them, or a function that yields arrays by name.",
    ),
]

_FUNCTION = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")


def read_samples(texts: Sequence[str] | None, shapes: Mapping[str, Sequence[Shape]] | None = None) -> Samples | None:
    """Return the samples that `--input` gives, None where it is not given; functions and files are read as asked for.

    Raises:
        InputError: Shapes are given beside (GP612); a text is of no known form, a name is given twice, or a source
            beside others (GP605); a file cannot be read (GP606), or a source is of no use (GP568).
    """
    if not texts:
        return None
    if shapes:
        raise InputError("--input-shape is for inputs drawn at random, but --input gives them", code="GP612")
    source = texts[0]
    if Path(source).is_dir():
        samples: Samples = _folder(Path(source))
    elif source.endswith(".npz") and ("=" not in source or Path(source).exists()):
        samples = [read_archive(Path(source))]
    elif (function := imported(source, "input")) is not None:
        samples = _called(source, function)
    else:
        return [read_arrays(texts)]
    if len(texts) > 1:
        raise InputError(f"input {source!r} gives all inputs, but {texts[1]!r} is given beside it", code="GP605")
    return samples


def read_arrays(texts: Iterable[str]) -> dict[str, np.ndarray]:
    """Read `name=x.npy` texts.

    Raises:
        InputError: A text has another form, a name occurs twice, or a file is not one NumPy array.
    """
    arrays: dict[str, np.ndarray] = {}
    for text in texts:
        name, _, path = text.partition("=")
        if not name or not path:
            expected = "name=x.npy, data.npz, a folder or package.module:function"
            raise InputError(f"input {text!r} is not of the form {expected}", code="GP605")
        if name in arrays:
            raise InputError(f"input {name!r} is given twice", code="GP605")
        arrays[name] = _read_array(Path(path))
    return arrays


def read_archive(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of a `.npz` file.

    Raises:
        InputError: It cannot be read, or holds something else than arrays of numbers.
    """
    found = _read(path, ".npz")
    if isinstance(found, np.ndarray):
        raise InputError(f"{path} holds one array without a name, expected a .npz file", code="GP606")
    return found


def fixed_models(paths: Sequence[Path], values: Mapping[str, float]) -> list[Path | ir.Model]:
    """Return the models, with the values in those files that have such inputs: one may be made of another with them.

    Raises:
        InputError: An input is in no `.onnx` file (GP444), or cannot be fixed.
    """
    from graphprune.frontends.onnx_file import load
    from graphprune.passes.input_values import with_input_values
    from graphprune_runtime.loading import is_compiled

    models: list[Path | ir.Model] = [*paths]
    unused = set(values)
    for index, path in enumerate(paths):
        if not values or is_compiled(path):
            continue
        model = load(path)
        found = {str(value.name) for value in model.graph.inputs} & values.keys()
        unused -= found
        if found:
            models[index] = with_input_values(model, {name: values[name] for name in found})
    if unused:
        raise InputError(f"no .onnx file is given that has an input '{min(unused)}'", code="GP444")
    return models


def _folder(path: Path) -> Iterator[dict[str, np.ndarray]]:
    files = sorted(path.glob("*.npz"))
    if not files:
        raise InputError(f"{path} holds no .npz file", code="GP568")
    return map(read_archive, files)


def imported(text: str, what: str) -> Callable[..., Any] | None:
    """Return the function that `package.module:function` names, None where a text has another form.

    Its module is looked for in the current folder too, as `python -m` does.

    Args:
        text: The text.
        what: What it is called in messages.

    Raises:
        InputError: There is no such module or function (GP568).
    """
    if (found := _FUNCTION.fullmatch(text)) is None:
        return None
    sys.path.insert(0, "")
    try:
        function: Callable[..., Any] | None = getattr(importlib.import_module(found[1]), found[2], None)
    except ImportError as error:
        raise InputError(f"{what} {text!r}: {error}", code="GP568") from error
    finally:
        sys.path.remove("")
    if not callable(function):
        raise InputError(f"{what} {text!r}: module {found[1]!r} has no function {found[2]!r}", code="GP568")
    return function


def _called(text: str, function: Callable[..., Any]) -> Samples:
    samples = function()
    if isinstance(samples, Mapping):
        return [samples]
    if not isinstance(samples, Iterable):
        given = type(samples).__name__
        raise InputError(f"input {text!r} returns a {given}, expected samples: arrays by input name", code="GP568")
    return samples


def _read_array(path: Path) -> np.ndarray:
    array = _read(path, ".npy")
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path} holds several arrays, expected a .npy file", code="GP606")
    return array


def _read(path: Path, suffix: str) -> np.ndarray | dict[str, np.ndarray]:
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            return {name: found[name] for name in found.files}
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}", code="GP606") from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a {suffix} file of numbers", code="GP606") from error
