"""The structure of the package: rooms import what they say and nothing else, and nothing imports in a circle."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import pytest

from tools.rooms import PACKAGE, read_imports, read_module_imports, read_rooms

ROOMS = read_rooms()
IMPORTS = read_imports()
LOOSE = {"__init__.py", "__main__.py", "diagnostics.py", "errors.py", "files.py"}


def test_the_root_has_rooms_and_little_else() -> None:
    assert {path.name for path in PACKAGE.glob("*.py")} == LOOSE


def test_every_folder_of_the_root_is_a_room() -> None:
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders == {name for name in ROOMS if "." not in name}


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_imports_what_it_says(name: str) -> None:
    assert sorted(IMPORTS[name]) == sorted(ROOMS[name].may_import)
    assert ROOMS[name].sentence.endswith(".")


def test_rooms_import_in_no_circle() -> None:
    allowed = nx.DiGraph((name, other) for name, room in ROOMS.items() for other in room.may_import)
    allowed.remove_node("graphprune")  # the public face, of which the command line takes the version
    assert list(nx.simple_cycles(allowed)) == []


def test_modules_import_in_no_circle() -> None:
    graph = nx.DiGraph((name, other) for name, imported in read_module_imports().items() for other in imported)
    graph.remove_node("graphprune")  # the public face imports on demand
    assert [group for group in nx.strongly_connected_components(graph) if len(group) > 1] == []


def test_what_is_read() -> None:
    """The reader sees imports inside functions and those for the type checker."""
    assert {"graphprune.frontends.onnx_file", "graphprune.backends.onnxruntime"} <= read_module_imports()[
        "graphprune.verification.sides"
    ]
    assert "graphprune.targets.target" in read_module_imports()["graphprune.backends.base"]
    assert "backends.tvm.operators" in IMPORTS["backends.tvm.rewrites"]


@pytest.fixture
def small_package(tmp_path: Path) -> Path:
    package = tmp_path / "graphprune"
    for name, text in {
        "__init__.py": "",
        "errors.py": "",
        "low/__init__.py": '"""Low.\n\nImports: errors.\n"""\n',
        "low/inner/__init__.py": '"""Belongs to low."""\n',
        "low/inner/one.py": "def lazy() -> None:\n    import graphprune.high.two\n",
        "high/__init__.py": '"""High.\n\nImports: nothing.\n"""\n',
        "high/two.py": "from graphprune import errors\nfrom graphprune.low.inner.one import lazy\n",
    }.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    return package


def test_rooms_of_a_small_package(small_package: Path) -> None:
    rooms = read_rooms(small_package)
    assert {name: room.may_import for name, room in rooms.items()} == {"low": {"errors"}, "high": set()}
    assert read_imports(small_package) == {
        "graphprune": set(),
        "errors": set(),
        "low": {"high"},
        "high": {"errors", "low"},
    }
