"""The symbols of an object file (64-bit ELF, as all Linux systems of today have it)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from graphprune.errors import BackendError

_START = b"\x7fELF\x02\x01"
"""Of a file with 64-bit numbers, the least byte first."""

_SECTION = np.dtype(
    [(name, "<u4") for name in ("name", "type")]
    + [(name, "<u8") for name in ("flags", "address", "offset", "size")]
    + [(name, "<u4") for name in ("link", "info")]
    + [(name, "<u8") for name in ("alignment", "entry_size")]
)
_SYMBOL = np.dtype(
    [("name", "<u4"), ("info", "u1"), ("visibility", "u1"), ("section", "<u2"), ("value", "<u8"), ("size", "<u8")]
)
_RELOCATION = np.dtype([("offset", "<u8"), ("type", "<u4"), ("symbol", "<u4"), ("addend", "<i8")])

_SYMBOL_TABLE, _RELOCATIONS, _GROUP = 2, 4, 17
_LOCAL, _WEAK = 0, 2


@dataclass(frozen=True)
class Symbol:
    """A symbol that other object files see."""

    name: str
    is_weak: bool


class ObjectSymbols:
    """The symbol table of an object file, which changes in place."""

    def __init__(self, content: bytes) -> None:
        """Read the tables of `content`.

        Raises:
            BackendError: it is no such object file.
        """
        if not content.startswith(_START):
            raise BackendError("object files to link statically are made for Linux only", code="GP632")
        self.content = bytearray(content)
        offset, count = (int.from_bytes(content[at : at + size], "little") for at, size in ((40, 8), (60, 2)))
        self._sections = np.frombuffer(self.content, _SECTION, count, offset)
        self._number = int(np.flatnonzero(self._sections["type"] == _SYMBOL_TABLE)[0])
        self._table = self._entries(self._number, _SYMBOL)

    def defined(self) -> list[Symbol]:
        """The symbols that are defined here and that other object files see."""
        return [self._describe(entry) for entry in self._table[self._is_defined()]]

    def make_local(self, keep: Callable[[Symbol], bool]) -> None:
        """Hide from other object files what is defined here, except for what `keep` says."""
        for number in np.flatnonzero(self._is_defined()):
            if not keep(self._describe(self._table[number])):
                self._table["info"][number] &= 0xF  # its binding, the upper half, becomes local
                self._table["visibility"][number] = 0
        order = np.argsort(self._table["info"] >> 4 != _LOCAL, kind="stable")  # the format wants local ones first
        self._table[:] = self._table[order]
        self._renumber(np.argsort(order).astype("<u4"))

    def _renumber(self, new: np.ndarray) -> None:
        """Put new numbers of symbols where symbols are referred to."""
        sections = self._sections
        sections["info"][self._number] = np.count_nonzero(self._table["info"] >> 4 == _LOCAL)
        for number in np.flatnonzero(sections["link"] == self._number):
            if sections["type"][number] == _RELOCATIONS:
                relocations = self._entries(int(number), _RELOCATION)
                relocations["symbol"] = new[relocations["symbol"]]
            elif sections["type"][number] == _GROUP:
                sections["info"][number] = new[sections["info"][number]]

    def _entries(self, section: int, kind: np.dtype) -> np.ndarray:
        size, offset = int(self._sections["size"][section]), int(self._sections["offset"][section])
        return np.frombuffer(self.content, kind, size // kind.itemsize, offset)

    def _is_defined(self) -> np.ndarray:
        found: np.ndarray = (self._table["info"] >> 4 != _LOCAL) & (self._table["section"] != 0)
        return found

    def _describe(self, entry: np.void) -> Symbol:
        names = int(self._sections["offset"][self._sections["link"][self._number]])
        start = names + int(entry["name"])
        end = self.content.index(b"\0", start)
        return Symbol(self.content[start:end].decode(), entry["info"] >> 4 == _WEAK)
