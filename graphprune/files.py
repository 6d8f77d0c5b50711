"""Writing files so that a run which is killed leaves no half file, and the folder of what is kept between runs."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from graphprune_runtime.files import atomic_write, copy_file, hold, remove_abandoned

__all__ = ["atomic_write", "cache_dir", "copy_file", "work_folder"]


@contextlib.contextmanager
def work_folder() -> Iterator[Path]:
    """A folder for the block, among the system's temporary files; those of processes that were killed are removed."""
    remove_abandoned(Path(tempfile.gettempdir()), "graphprune-work-*")
    with tempfile.TemporaryDirectory(prefix="graphprune-work-") as name:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            hold(descriptor)
            yield Path(name)
        finally:
            os.close(descriptor)


def cache_dir() -> Path:
    """`$XDG_CACHE_HOME/graphprune`, or `~/.cache/graphprune`: what is kept there can be deleted at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "graphprune"
