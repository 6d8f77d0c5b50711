"""Compiled models on disk: which files they are, and loading them."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from graphprune.errors import InputError, ModelFileError

if TYPE_CHECKING:
    from graphprune.runtime.interface import Session

COMPILED_SUFFIXES = (".so", ".dylib", ".dll")


def is_compiled(path: str | PathLike[str]) -> bool:
    """Whether a file's name says that it is a compiled model."""
    return Path(path).suffix.lower() in COMPILED_SUFFIXES


def load_session(path: str | PathLike[str], threads: int = 1) -> Session:
    """Load what `Session.save` wrote.

    Raises:
        ModelFileError: the file is missing.
        BackendError: it is not a compiled model, or was compiled for a processor with other features.
        InputError: `threads` is out of range.
    """
    check_threads(threads)
    if not Path(path).is_file():
        raise ModelFileError(f"{os.fspath(path)}: no such file", code="GP531")
    from graphprune.runtime.session import load

    return load(path, threads)


def check_threads(threads: int) -> None:
    """Refuse a number of threads that cannot run.

    Raises:
        InputError: `threads` is below one or above what the machine has.
    """
    available = os.cpu_count() or 1
    if not 1 <= threads <= available:
        raise InputError(f"threads is {threads}, expected 1 to {available}, the processors here", code="GP532")
