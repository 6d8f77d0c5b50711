"""Writing files so that a run which is killed leaves no half file."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from graphprune_runtime.errors import ModelFileError


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` when the block ends well, and vanishes when it does not.

    The bytes go to a temporary name in the folder of `path` and reach the disk before the name changes, so at every
    moment `path` is either the earlier file or the whole new one, through any exception, Ctrl-C included.

    Args:
        path: The file to create or replace; a symbolic link is replaced, not followed.

    Yields:
        The temporary file, open for writing.

    Raises:
        ModelFileError: The folder or the disk does not take the file. [GP106]
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        with _as_model_file_error(target), temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with _as_model_file_error(target):
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


@contextlib.contextmanager
def _as_model_file_error(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelFileError(f"cannot write '{target}': {reason}", code="GP106") from error
