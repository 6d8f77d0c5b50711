"""Writing files so that a run which is killed leaves no half file, and the next one clears up behind it."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from graphprune_runtime.errors import ModelFileError

SECONDS_TO_HOLD = 2.0
"""How long after a temporary file was last changed its process may still be about to hold it."""


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` when the block ends well, and vanishes when it does not.

    The bytes go to a temporary name in the folder of `path` and reach the disk before the name changes, so at every
    moment `path` is either the earlier file or the whole new one, through any exception, Ctrl-C included. Temporary
    files of processes that were killed while they wrote this `path` are removed.

    Args:
        path: The file to create or replace; a symbolic link is replaced, not followed.

    Yields:
        The temporary file, open for writing.

    Raises:
        ModelFileError: The folder or the disk does not take the file. [GP106]
    """
    target = Path(path)
    remove_abandoned(target.parent, f".{glob.escape(target.name)}.*.tmp")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        with _as_model_file_error(target), temporary.open("xb") as file:
            hold(file.fileno())
            yield file
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(target)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def copy_file(source: Path, target: Path) -> None:
    """Copy a file so that `target` is never half of it.

    Raises:
        ModelFileError: `source` cannot be read, or `target` not be written. [GP106]
    """
    with atomic_write(target) as file, source.open("rb") as content:
        shutil.copyfileobj(content, file)


def hold(descriptor: int) -> None:
    """Mark a temporary file or folder as in use, for as long as its descriptor is open: a process that dies lets go."""
    with contextlib.suppress(OSError):  # some file systems have no locks; what is on them is then not cleared up
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)


def remove_abandoned(folder: Path, pattern: str) -> None:
    """Remove the files and folders of this user's that match, and that nobody holds."""
    with contextlib.suppress(OSError):
        for path in folder.glob(pattern):
            with contextlib.suppress(OSError):
                _remove_unless_held(path)


def _remove_unless_held(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.getuid() or _is_new(status):
            return
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    finally:
        os.close(descriptor)


def _is_new(status: os.stat_result) -> bool:
    """Whether a process may just have made it and not hold it yet."""
    return time.time() - status.st_ctime < SECONDS_TO_HOLD


@contextlib.contextmanager
def _as_model_file_error(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelFileError(f"cannot write '{target}': {reason}", code="GP106") from error
