"""Linking: the object file of a model and the C part of every model, to one shared library."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from graphprune.errors import BackendError
from graphprune.files import work_folder
from graphprune.native import INCLUDE, SOURCES

C_FLAGS = ("-std=gnu11", "-O2", "-fPIC", "-fvisibility=hidden")


def link(code: bytes, tables: str, sources: Sequence[Path] = ()) -> bytes:
    """The shared library of a model's object file, the C text of its tables, and further C files.

    Raises:
        BackendError: no C compiler is installed, or it failed.
    """
    compiler = find_compiler()
    with work_folder() as folder:
        (folder / "kernels.o").write_bytes(code)
        (folder / "tables.c").write_text(tables, encoding="utf-8")
        for part, content in _runtime_objects(compiler).items():
            (folder / part).write_bytes(content)
        _run(compiler, [*C_FLAGS, f"-I{INCLUDE}", "-c", "tables.c", *map(str, sources)], folder)
        objects = sorted(path.name for path in folder.glob("*.o"))
        _run(compiler, ["-shared", "-s", "-Wl,-Bsymbolic", "-o", "model.so", *objects, "-lpthread", "-ldl"], folder)
        return (folder / "model.so").read_bytes()


@functools.cache
def _runtime_objects(compiler: tuple[str, ...]) -> dict[str, bytes]:
    """The object files of the C part, by name."""
    with work_folder() as folder:
        _run(compiler, [*C_FLAGS, "-c", *map(str, SOURCES)], folder)
        return {path.name: path.read_bytes() for path in folder.glob("*.o")}


def find_compiler() -> tuple[str, ...]:
    """The command of the C compiler: the system's, else zig's.

    Raises:
        BackendError: neither is installed.
    """
    found = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if found:
        return (found,)
    if importlib.util.find_spec("ziglang"):
        return (sys.executable, "-m", "ziglang", "cc")
    message = "compiling needs a C compiler, to link: install one, or `pip install graphprune[zig]`"
    raise BackendError(message, code="GP407")


def _run(compiler: Sequence[str], arguments: Sequence[str], folder: Path) -> None:
    command = [*compiler, *arguments]
    result = subprocess.run(  # noqa: S603 - the command is the user's own compiler
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if result.returncode:
        lines = [line for line in (result.stderr or result.stdout).splitlines() if line.strip()]
        last = lines[-1] if lines else f"exit code {result.returncode}"
        raise BackendError(f"cannot link the model: {compiler[0]}: {last}", code="GP411")
