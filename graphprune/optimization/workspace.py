"""What a run has finished, in a folder, so that another run goes on behind it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from graphprune.errors import InputError
from graphprune.files import atomic_write
from graphprune.planning.documents import Document

Kind = TypeVar("Kind", bound=Document)

_WORK = "work"
"""The folder inside that of the results."""


class Workspace:
    """The folder of one run: results, and what they are made of."""

    def __init__(self, folder: Path, run: Mapping[str, Any]) -> None:
        """Use a folder, which is made, for a run that is described by JSON values.

        Raises:
            InputError: Another run has begun in it (GP645).
        """
        self.folder = folder
        known, described = folder / _WORK / "run.json", json.dumps(run, sort_keys=True)
        if known.exists() and known.read_text() != described:
            message = f"{folder} has results of another run: another model, samples or options"
            raise InputError(f"{message}; remove it, or name another folder", code="GP645")
        known.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(known) as file:
            file.write(described.encode())

    def layers(self, name: str) -> Path:
        """Return the folder for the finished layers of a candidate."""
        return self.folder / _WORK / f"{name}.layers"

    def finished(self, name: str, kind: type[Kind], make: Callable[[], Kind], needs: Iterable[Path] = ()) -> Kind:
        """Return what was finished under a name, or make it and keep it.

        Args:
            name: What it is called.
            kind: What it is.
            make: Makes it.
            needs: Files that must be there too.
        """
        path = self.folder / _WORK / f"{name}.json"
        if path.exists() and all(file.exists() for file in needs):
            return kind.load(path)
        found = make()
        found.save(path)
        return found
