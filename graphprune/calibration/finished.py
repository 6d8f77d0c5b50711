"""Layers that a run has finished, in a folder, so that another run goes on behind them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from graphprune.errors import InputError
from graphprune.files import atomic_write

Arrays = npt.NDArray[Any]


class FinishedLayer(NamedTuple):
    """What became of a layer; `weight` lies in a file."""

    weight: Arrays
    shift: Arrays
    error: float


class FinishedLayers:
    """Layers by name, in a folder; those of another run are refused."""

    def __init__(self, folder: Path, run: Mapping[str, Any]) -> None:
        """Use a folder, which is made with the first layer, for a run that is described by JSON values.

        Raises:
            InputError: The folder has layers of another run (GP585).
        """
        self._folder, self._run = folder, json.dumps(run, sort_keys=True)
        if self._file.exists() and self._file.read_text() != self._run:
            raise _another(folder)

    @property
    def _file(self) -> Path:
        """What says which run it is."""
        return self._folder / "run.json"

    def get(self, name: str, dense: Arrays) -> FinishedLayer | None:
        """Return what became of a layer, None where it is not finished.

        Raises:
            InputError: It was another weight than `dense` (GP585).
        """
        path = self._path(name)
        if not path.with_suffix(".json").exists():
            return None
        known = json.loads(path.with_suffix(".json").read_text())
        if known["dense"] != digest([dense]):
            raise _another(self._folder)
        return FinishedLayer(_mapped(path, dense), np.array(known["shift"]), known["error"])

    def put(self, name: str, dense: Arrays, layer: FinishedLayer) -> FinishedLayer:
        """Write what became of a layer, and return it with its weight in the file."""
        if not self._file.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(self._file) as file:
                file.write(self._run.encode())
        path = self._path(name)
        with atomic_write(path) as file:
            np.save(file, layer.weight.view(f"u{layer.weight.itemsize}"))  # NumPy's files know no bfloat16
        known = {"name": name, "dense": digest([dense]), "shift": layer.shift.tolist(), "error": layer.error}
        with atomic_write(path.with_suffix(".json")) as file:
            file.write(json.dumps(known).encode())
        return layer._replace(weight=_mapped(path, dense))

    def _path(self, name: str) -> Path:
        return self._folder / f"{xxhash.xxh64_hexdigest(name.encode())}.npy"


def _mapped(path: Path, like: Arrays) -> Arrays:
    found: Arrays = np.load(path, mmap_mode="r").view(like.dtype)
    return found


def digest(arrays: Iterable[Arrays]) -> str:
    """Return what identifies arrays."""
    found = xxhash.xxh64()
    for array in arrays:
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def _another(folder: Path) -> InputError:
    message = f"{folder} has layers of another run: another model, plan, samples or options"
    return InputError(f"{message}; remove it to begin again", code="GP585")
