"""Tests that are run again and again, each time in a fork of a process that has imported the libraries already."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

LIBRARIES = ("hypothesis", "numpy", "onnx", "onnx_ir", "onnxruntime", "scipy", "torch", "tvm")
"""What most tests import, and what no fault is made in."""

_FORK = multiprocessing.get_context("fork")


def import_libraries() -> None:
    """Import what forks need not import any more."""
    for name in LIBRARIES:
        importlib.import_module(name)


def passes(tests: Sequence[Path], folders: Sequence[Path], seconds: float | None) -> bool:
    """Return whether tests pass in time.

    Args:
        tests: Files or folders, relative to the working directory.
        folders: What modules are imported from first. None of these may have been imported yet.
        seconds: Until tests that do not end are killed; None to wait for them.
    """
    process = _FORK.Process(target=_run, args=(tests, folders))
    process.start()
    process.join(seconds)
    with suppress(ProcessLookupError):  # what tests have started goes too
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.join()
    return process.exitcode == 0


def _run(tests: Sequence[Path], folders: Sequence[Path]) -> None:
    os.setsid()
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(null, stream)
    sys.path[:0] = [str(folder) for folder in folders]
    sys.dont_write_bytecode = True  # a file may change twice before its time does
    sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *map(str, tests)]))
