"""The whole of a compiled file: code, weights, description, footer."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from typing import BinaryIO

import xxhash

from graphprune.backends.tvm.program.recording import Weights
from graphprune_runtime.description import FORMAT, Description
from graphprune_runtime.file import ALIGNMENT, CompiledFile, Footer

MakeCode = Callable[[int], bytes]
"""From the checksum of weights and description, which the code knows, to the code."""


def make_image(weights: Weights, description: Description, make_code: MakeCode) -> CompiledFile:
    """The compiled file, in memory."""
    text = description.to_json().encode() + b"\0"
    text += bytes(-len(text) % ALIGNMENT)
    checksum = xxhash.xxh64()
    weights_bytes = 0
    for chunk in weights.chunks():
        checksum.update(chunk)
        weights_bytes += len(chunk)
    checksum.update(text)
    code = make_code(checksum.intdigest())
    code += bytes(-len(code) % ALIGNMENT)
    sizes = len(code), weights_bytes, len(text)
    footer = Footer(FORMAT, zlib.crc32(code), *sizes, checksum.intdigest(), zlib.crc32(text))
    file = _anonymous_file()
    file.write(code)
    file.writelines(weights.chunks())
    file.write(text + footer.to_bytes())
    file.flush()
    return CompiledFile(file, "the model", footer, description)


def _anonymous_file() -> BinaryIO:
    return os.fdopen(os.memfd_create("graphprune", os.MFD_CLOEXEC), "w+b")
