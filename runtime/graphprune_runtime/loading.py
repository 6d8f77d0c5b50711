"""Compiled models on disk: which files they are, and loading them."""

from __future__ import annotations

import logging
import os
import time
from os import PathLike
from pathlib import Path

from graphprune_runtime.errors import InputError, ModelFileError
from graphprune_runtime.session import CompiledSession

_LOG = logging.getLogger("graphprune")

COMPILED_SUFFIXES = (".so", ".dylib", ".dll")


def is_compiled(path: str | PathLike[str]) -> bool:
    """Whether a file's name says that it is a compiled model."""
    return Path(path).suffix.lower() in COMPILED_SUFFIXES


def load_session(path: str | PathLike[str], threads: int = 1, *, check: bool = True) -> CompiledSession:
    """Load what `CompiledSession.save` wrote.

    Code compiled for several threads runs on any number of them, and so does a batch that is run sample by sample.

    Args:
        path: The compiled file. To replace it while processes use it, write another file and rename that one over it.
        threads: How many threads a run uses at most.
        check: Compare the checksum of the weights, which reads all of them once.

    Raises:
        ModelFileError: the file is missing.
        BackendError: it is not a compiled model, is damaged, was compiled for a processor with other features, or for
            one thread and is to run on more.
        InputError: `threads` is out of range.
    """
    check_threads(threads)
    if not Path(path).is_file():
        raise ModelFileError(f"{os.fspath(path)}: no such file", code="GP531")
    start = time.perf_counter()
    session = CompiledSession.load(Path(path), threads, check=check)
    seconds = time.perf_counter() - start
    _LOG.info("loaded %s for %s on %d thread(s) in %.3f s", path, session.description.target, threads, seconds)
    return session


def check_threads(threads: int) -> None:
    """Refuse a number of threads that cannot run.

    Raises:
        InputError: `threads` is below one or above what the machine has.
    """
    available = os.cpu_count() or 1
    if not 1 <= threads <= available:
        raise InputError(f"threads is {threads}, expected 1 to {available}, the processors here", code="GP532")
