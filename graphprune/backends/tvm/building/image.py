"""The whole of a compiled file: code, weights, description, footer."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from typing import BinaryIO

import xxhash

from graphprune.backends.tvm.program.recording import Weights
from graphprune_runtime.description import FORMAT, Description
from graphprune_runtime.file import ALIGNMENT, CompiledFile, Footer


@dataclass(frozen=True)
class Data:
    """Weights and description as they lie in a file; the code knows the checksum of both."""

    weights: Weights
    description: Description
    text: bytes
    weights_bytes: int
    checksum: int


def lay_out(weights: Weights, description: Description) -> Data:
    """What follows the code in a file."""
    text = description.to_json().encode() + b"\0"
    text += bytes(-len(text) % ALIGNMENT)
    checksum = xxhash.xxh64()
    weights_bytes = 0
    for chunk in weights.chunks():
        checksum.update(chunk)
        weights_bytes += len(chunk)
    checksum.update(text)
    return Data(weights, description, text, weights_bytes, checksum.intdigest())


def make_image(code: bytes, data: Data) -> CompiledFile:
    """The compiled file, in memory."""
    code += bytes(-len(code) % ALIGNMENT)
    sizes = len(code), data.weights_bytes, len(data.text)
    footer = Footer(FORMAT, zlib.crc32(code), *sizes, data.checksum, zlib.crc32(data.text))
    file = _anonymous_file()
    file.write(code)
    file.writelines(data.weights.chunks())
    file.write(data.text + footer.to_bytes())
    file.flush()
    return CompiledFile(file, "the model", footer, data.description)


def _anonymous_file() -> BinaryIO:
    return os.fdopen(os.memfd_create("graphprune", os.MFD_CLOEXEC), "w+b")
