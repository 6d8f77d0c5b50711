"""Temporary files in memory: compilers write many small ones."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - files go into a new folder in it
"""A file system without a disk, where there is one."""


@contextmanager
def temporary_files_in_memory() -> Iterator[Path]:
    """A new folder, in which this process and those it starts make theirs."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        yield Path(folder)
