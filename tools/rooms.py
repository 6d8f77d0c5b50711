"""The rooms of the package, and which imports which, read from the source.

A room is a folder whose `__init__` says in a line `Imports: ...` what it may import; folders without that line are
part of the room that they lie in. Modules that lie loose in the package's root are rooms of their own. The package
`graphprune_runtime`, which is installed by itself too, is the room `runtime`.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "graphprune"

_NOTHING = "nothing"

_RUNTIME = "graphprune_runtime"


@dataclass(frozen=True)
class Room:
    """What a folder says of itself: one sentence, and the rooms that it may import."""

    name: str
    sentence: str
    may_import: frozenset[str]


def read_rooms(package: Path = PACKAGE) -> dict[str, Room]:
    """Return the rooms of `package` that are folders, by dotted name without that of the package."""
    found = (_read_room(path.parent, package) for path in sorted(package.glob("*/**/__init__.py")))
    return {room.name: room for room in found if room is not None}


def _read_room(folder: Path, package: Path) -> Room | None:
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    sentence, _, rest = text.partition("\n\n")
    if not rest.startswith("Imports: "):
        return None
    listed = rest.partition("\n\n")[0].removeprefix("Imports: ").rstrip(".").split()
    names = frozenset(name.rstrip(",") for name in listed) - {_NOTHING}
    return Room(".".join(folder.relative_to(package).parts), " ".join(sentence.split()), names)


def read_modules(package: Path = PACKAGE) -> dict[str, Path]:
    """Return the files of `package` by the dotted name of their module."""
    modules = {}
    for root in (package, package.parent / "runtime" / _RUNTIME):
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root.parent).with_suffix("").parts
            modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def read_module_imports(package: Path = PACKAGE) -> dict[str, set[str]]:
    """Return which modules each module imports, inside functions and for the type checker included."""
    modules = read_modules(package)
    return {name: set(_imported(path, modules)) - {name} for name, path in modules.items()}


def _imported(path: Path, modules: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module in modules:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)


def room_of(module: str, rooms: dict[str, Room], package: Path = PACKAGE) -> str:
    """Return the innermost room of a module: a folder, or the module itself where it lies in the root."""
    if module.split(".", maxsplit=1)[0] == _RUNTIME:
        return "runtime"
    parts = module.split(".")[1:]
    for end in range(len(parts), 0, -1):
        if ".".join(parts[:end]) in rooms:
            return ".".join(parts[:end])
    return parts[0] if parts else package.name


def read_imports(package: Path = PACKAGE) -> dict[str, set[str]]:
    """Return which rooms the modules of each room import."""
    rooms = read_rooms(package)
    imports: dict[str, set[str]] = defaultdict(set)
    for module, imported in read_module_imports(package).items():
        room = room_of(module, rooms, package)
        imports[room] |= {room_of(other, rooms, package) for other in imported} - {room}
    return imports
