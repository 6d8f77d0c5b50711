"""Which code makes machine code, so that what is remembered of earlier code is not taken for that of today."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import tvm

ROOMS = ("kernels", "building")
"""What emits kernels, and what compiles them."""


@functools.cache
def code_version() -> str:
    """A digest of the code that emits and compiles kernels, and TVM's version."""
    digest = hashlib.sha256(tvm.__version__.encode())
    for room in ROOMS:
        for source in sorted((Path(__file__).parents[1] / room).glob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()
