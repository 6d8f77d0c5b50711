"""Archives of one object file, with the index by which linkers find it: what `ar rcs` writes."""

from __future__ import annotations

from collections.abc import Sequence

_HEADER_BYTES = 60


def make_archive(content: bytes, symbols: Sequence[str]) -> bytes:
    """The archive of an object file that defines `symbols`."""
    names = b"".join(symbol.encode() + b"\0" for symbol in symbols)
    names += bytes(-len(names) % 2)
    index_bytes = 4 * (1 + len(symbols)) + len(names)
    start = len(_MAGIC) + _HEADER_BYTES + index_bytes
    numbers = [len(symbols), *[start] * len(symbols)]
    index = b"".join(number.to_bytes(4, "big") for number in numbers) + names
    return _MAGIC + _member("/", 0, index) + _member("model.o/", 0o644, content)


_MAGIC = b"!<arch>\n"


def _member(name: str, mode: int, content: bytes) -> bytes:
    """A member that belongs to nobody and has no time, so that equal models are equal files."""
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{mode:<8o}{len(content):<10}`\n"
    return header.encode() + content + b"\n" * (len(content) % 2)
