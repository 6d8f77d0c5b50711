"""Weights beside a compiled library: raw arrays, each on a cache line of its own, mapped rather than read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from graphprune.errors import BackendError
from graphprune.files import atomic_write

ALIGNMENT = 64
"""What generated code may assume of the address of every buffer, in bytes."""


def write(path: Path, arrays: Sequence[np.ndarray]) -> None:
    """Write the arrays one after another.

    Raises:
        ModelFileError: the file cannot be written.
    """
    with atomic_write(path) as file:
        for array in arrays:
            file.write(array.tobytes())
            file.write(bytes(-array.nbytes % ALIGNMENT))


def read(path: Path, sizes: Sequence[tuple[str, int]]) -> list[np.ndarray]:
    """Map the arrays of these (dtype, element count) pairs.

    Raises:
        BackendError: the file is missing or of another length.
    """
    spans = [np.dtype(dtype).itemsize * count for dtype, count in sizes]
    total = sum(span + -span % ALIGNMENT for span in spans)
    found = path.stat().st_size if path.is_file() else 0
    if found != total:
        raise BackendError(f"'{path}' holds {found} bytes of weights, expected {total}", code="GP410")
    mapped = np.memmap(path, np.uint8, mode="c")
    arrays, start = [], 0
    for (dtype, count), span in zip(sizes, spans, strict=True):
        arrays.append(mapped[start : start + span].view(np.dtype(dtype))[:count])
        start += span + -span % ALIGNMENT
    return arrays


def aligned(array: np.ndarray) -> np.ndarray:
    """The array itself if generated code may read it where it lies, else a copy that it may."""
    if array.ctypes.data % ALIGNMENT == 0 and array.flags.writeable:
        return array
    buffer = np.empty(array.nbytes + ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    copy = buffer[start : start + array.nbytes].view(array.dtype)
    copy[:] = array
    return copy
