"""YAML with the numbers of its version 1.2, which users know from JSON, and without repeated keys.

Version 1.1, which PyYAML reads, takes `2:4` for the base-60 integer 124, and `1e-4` for a string.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

_INTEGER = re.compile(r"[-+]?[0-9]{1,300}$|0x[0-9a-fA-F]{1,300}$")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$"
)
MOST_NODES = 1_000_000
"""Values of a document, its aliases written out."""

_NUMBERS = {"tag:yaml.org,2002:int": _INTEGER, "tag:yaml.org,2002:float": _FLOAT}
_FIRST_CHARACTERS = "-+.0123456789"


def load(text: str) -> object:
    """Return what a YAML document holds.

    Raises:
        yaml.YAMLError: It is no YAML, a mapping repeats a key, or its aliases stand for too much.
    """
    return yaml.load(text, _Loader)  # noqa: S506 - a safe loader


def dump(data: object) -> str:
    """Return `data`, of plain Python values, as YAML text."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=120))


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """Return which plain words are no strings, by first character."""
    kept = {
        first: [(tag, form) for tag, form in pairs if tag not in _NUMBERS]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    for first in _FIRST_CHARACTERS:
        kept[first] = [*_NUMBERS.items(), *kept.get(first, [])]
    return kept


class _Loader(yaml.SafeLoader):  # type: ignore[misc] # PyYAML ships no types
    yaml_implicit_resolvers = _resolvers()

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._count = 0
        self._counts: dict[yaml.Node, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node:
        """Count what is composed, an alias as often as all that it stands for: nested ones double with every line."""
        is_alias, start = self.check_event(yaml.AliasEvent), self._count
        mark = self.peek_event().start_mark
        node = super().compose_node(parent, index)
        self._count += self._counts.get(node, MOST_NODES) if is_alias else 1
        if self._count > MOST_NODES:
            raise yaml.composer.ComposerError(None, None, f"aliases stand for more than {MOST_NODES} values", mark)
        self._counts.setdefault(node, self._count - start)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's
        made: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        if len(made) < len(node.value):
            keys = [self.construct_object(key) for key, _ in node.value]
            twice = next(key for index, key in enumerate(keys) if key in keys[:index])
            raise yaml.constructor.ConstructorError(None, None, f"key '{twice}' is given twice", node.start_mark)
        return made


class _Dumper(yaml.SafeDumper):  # type: ignore[misc] # PyYAML ships no types
    yaml_implicit_resolvers = _resolvers()
