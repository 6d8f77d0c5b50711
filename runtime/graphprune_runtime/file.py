"""The form of a compiled file: [code][weights][description][footer].

The code is a shared library; its loader does not look at what follows. The footer says how long the parts are, and
their checksums, so that a file which was cut or damaged is known before anything in it is used.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from graphprune_runtime.description import FORMAT, Description
from graphprune_runtime.errors import BackendError

MAGIC = b"graphprune model"
_FOOTER = struct.Struct("<16sIIQQQQI")
FOOTER_BYTES = 64
_EARLIER = b"graphprune weights"
"""How the footer of format 7 begins."""

ALIGNMENT = 64
"""Of each weight in the file, in bytes."""


STATIC_SUFFIXES = (".a", ".o")
"""Of what holds a compiled model to be linked into a program; no session loads it."""


def is_static(path: str | os.PathLike[str]) -> bool:
    """Whether a file's name says that it is to be linked into a program."""
    return Path(path).suffix.lower() in STATIC_SUFFIXES


def path_of(file: BinaryIO) -> str:
    """A path of an open file that leads to it whatever its name leads to now."""
    return f"/proc/self/fd/{file.fileno()}"


class Footer(NamedTuple):
    """The last bytes of a compiled file.

    Attributes:
        format: The version of all that a compiled file holds.
        code_crc: CRC-32 of the code.
        code_bytes: Length of the code, up to where the weights start.
        weights_bytes: Length of the weights.
        description_bytes: Length of the description, which is JSON that ends with a zero.
        checksum: XXH64 of weights and description.
        description_crc: CRC-32 of the description.
    """

    format: int
    code_crc: int
    code_bytes: int
    weights_bytes: int
    description_bytes: int
    checksum: int
    description_crc: int

    def to_bytes(self) -> bytes:
        """The footer, with a CRC-32 of its own at the end."""
        content = _FOOTER.pack(MAGIC, *self)
        return content + zlib.crc32(content).to_bytes(4, "little")

    @classmethod
    def from_bytes(cls, content: bytes) -> Footer | None:
        """What `to_bytes` wrote; None if it is something else."""
        magic, *fields = _FOOTER.unpack(content[: _FOOTER.size])
        intact = zlib.crc32(content[: _FOOTER.size]).to_bytes(4, "little") == content[_FOOTER.size :]
        return cls(*fields) if magic == MAGIC and intact else None


@dataclass(frozen=True)
class CompiledFile:
    """An open compiled file whose parts are all there; `name` is what messages call it."""

    file: BinaryIO
    name: str
    footer: Footer
    description: Description

    @classmethod
    def read(cls, file: BinaryIO, name: str) -> CompiledFile:
        """Read and check footer and description.

        Raises:
            BackendError: it is no compiled file, one of another version, or one that was cut or damaged.
        """
        footer = _read_footer(file, name)
        file.seek(footer.code_bytes + footer.weights_bytes)
        text = file.read(footer.description_bytes)
        if zlib.crc32(text) != footer.description_crc:
            raise BackendError(f"{name} is damaged: the checksum of its description differs", code="GP410")
        return cls(file, name, footer, Description.from_json(text.rstrip(b"\0").decode()))

    def code(self) -> bytes:
        """The code.

        Raises:
            BackendError: it is damaged.
        """
        self.file.seek(0)
        code = self.file.read(self.footer.code_bytes)
        if zlib.crc32(code) != self.footer.code_crc:
            raise BackendError(f"{self.name} is damaged: the checksum of its code differs", code="GP410")
        return code

    def weights(self, offset: int, nbytes: int) -> bytes:
        """Bytes among the weights."""
        self.file.seek(self.footer.code_bytes + offset)
        return self.file.read(nbytes)


def _read_footer(file: BinaryIO, name: str) -> Footer:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - FOOTER_BYTES))
    last = file.read(FOOTER_BYTES)
    if last.startswith(_EARLIER):
        raise BackendError(f"{name} has format 7, expected {FORMAT}; compile the model again", code="GP408")
    footer = Footer.from_bytes(last) if len(last) == FOOTER_BYTES else None
    if footer is None:
        file.seek(0)
        if file.read(4) != b"\x7fELF":
            raise BackendError(f"{name} is not a compiled model", code="GP409")
        raise BackendError(f"{name} was cut, or is another library: it ends as no compiled model does", code="GP410")
    if footer.format != FORMAT:
        raise BackendError(f"{name} has format {footer.format}, expected {FORMAT}; compile it again", code="GP408")
    parts = footer.code_bytes + footer.weights_bytes + footer.description_bytes + FOOTER_BYTES
    if parts != size:
        raise BackendError(f"{name} has {size} bytes, expected {parts}", code="GP410")
    return footer
