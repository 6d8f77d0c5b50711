"""Names of a file as names in a torch module: torch pastes them into Python source, so none may be more than a name."""

from __future__ import annotations

import itertools
import keyword
import re
from collections import defaultdict
from collections.abc import Iterator

from torch import fx, nn

_LONGEST = 200
_LONGEST_WORD = 80
_SAFE = re.compile(r"[A-Za-z0-9_:/@+-]+")  # within quotes; no bracket, quote, backslash or line break
_OF_MODULES = frozenset(dir(nn.Module()))
_OF_ROOTS = frozenset(dir(fx.GraphModule(nn.Module(), fx.Graph())))


class AttributeNames:
    """Gives each thing that a module holds a place in it: its own dotted name wherever that is safe and free."""

    def __init__(self) -> None:
        self._places: set[str] = set()
        self._modules: set[str] = set()
        self._numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: itertools.count(1))

    def take(self, name: str) -> str:
        """Return the place of the thing called `name`: the name, or a word made of it; a new one with every call."""
        place = name if is_safe(name) and self._is_free(name) else self._made(name)
        self._places.add(place)
        self._modules.update(_prefixes(place))
        return place

    def _made(self, name: str) -> str:
        base = word(name)
        if is_safe(base) and self._is_free(base):
            return base
        return next(made for n in self._numbers[base] if self._is_free(made := f"{base}_{n}"))

    def _is_free(self, place: str) -> bool:
        taken = place in self._places or place in self._modules
        return not taken and not any(prefix in self._places for prefix in _prefixes(place))


def is_safe(name: str) -> bool:
    """Return whether modules called by the parts of a dotted name can hold a parameter of that name."""
    parts = name.split(".")
    return len(name) <= _LONGEST and all(
        _SAFE.fullmatch(part) and not _is_taken(part) and part not in (_OF_MODULES if index else _OF_ROOTS)
        for index, part in enumerate(parts)
    )


def word(name: str | None) -> str:
    """Return an identifier of ASCII letters made of `name`, not too long to read; fx makes it unique."""
    made = re.sub(r"[^A-Za-z0-9_]", "_", name or "value")[:_LONGEST_WORD]
    made = f"_{made}" if made[0].isdigit() else made
    return f"{made}_" if _is_taken(made) else made


def _is_taken(name: str) -> bool:
    """Fx makes other names in its code unique, but takes `self`, which the code uses, and `None`."""
    return name == "self" or keyword.iskeyword(name)


def _prefixes(place: str) -> Iterator[str]:
    parts = place.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts)))
