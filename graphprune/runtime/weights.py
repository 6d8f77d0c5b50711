"""The weights of a compiled library: raw arrays at its end, each on a cache line of its own, mapped rather than read.

All sessions of one file, in one process or in several, share the memory of these pages. The loader of libraries does
not look at what follows the last section. Behind the arrays stands a footer, so that a file that was cut is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from graphprune.errors import BackendError

ALIGNMENT = 64
"""What generated code may assume of the address of every buffer, in bytes."""

MAGIC = b"graphprune weights"


def append(file: BinaryIO, arrays: Sequence[np.ndarray]) -> None:
    """Write the arrays one after another at the end of a file, and the footer."""
    file.seek(0, 2)
    file.write(bytes(-file.tell() % ALIGNMENT))
    for array in arrays:
        file.write(np.ascontiguousarray(array).view(np.uint8).data)
        file.write(bytes(-array.nbytes % ALIGNMENT))
    file.write(_footer(sum(map(_span, arrays))))


def read(path: Path, sizes: Sequence[tuple[str, int]]) -> list[np.ndarray]:
    """Map the arrays of these (dtype, element count) pairs.

    Raises:
        BackendError: they are not at the end of the file.
    """
    spans = [np.dtype(dtype).itemsize * count for dtype, count in sizes]
    total = sum(span + -span % ALIGNMENT for span in spans)
    start = path.stat().st_size - total - ALIGNMENT
    mapped = np.memmap(path, np.uint8, mode="c") if start > 0 else np.empty(0, np.uint8)
    if mapped[start + total :].tobytes() != _footer(total):
        raise BackendError(f"'{path}' does not end with its {total} bytes of weights", code="GP410")
    arrays = []
    for (dtype, count), span in zip(sizes, spans, strict=True):
        arrays.append(mapped[start : start + span].view(np.dtype(dtype))[:count])
        start += span + -span % ALIGNMENT
    return arrays


def _span(array: np.ndarray) -> int:
    return array.nbytes + -array.nbytes % ALIGNMENT


def _footer(total: int) -> bytes:
    return (MAGIC + b" %d" % total).ljust(ALIGNMENT, b"\n")


def aligned(array: np.ndarray) -> np.ndarray:
    """The array itself if generated code may read it where it lies, else a copy that it may."""
    if array.ctypes.data % ALIGNMENT == 0 and array.flags.writeable:
        return array
    buffer = np.empty(array.nbytes + ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    copy = buffer[start : start + array.nbytes].view(array.dtype)
    copy[:] = array
    return copy
