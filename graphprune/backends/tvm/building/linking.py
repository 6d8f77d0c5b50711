"""Linking: the object files of a model's kernels, its tables and the C part of every model."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from graphprune.errors import BackendError
from graphprune.files import work_folder
from graphprune.native import INCLUDE, SOURCES

C_FLAGS = ("-std=gnu11", "-O2", "-fPIC", "-fvisibility=hidden", f"-I{INCLUDE}")


@dataclass(frozen=True)
class Code:
    """What is linked for a model: the object files of its kernels, the C text of its tables, and further C files."""

    kernels: tuple[bytes, ...]
    tables: str
    sources: tuple[Path, ...] = ()


def link_library(code: Code) -> bytes:
    """The shared library of a model.

    Raises:
        BackendError: no C compiler is installed, or it failed.
    """
    with work_folder() as folder:
        objects = compile_parts(code, "gp_this_model", (), folder)
        options = ("-shared", "-s", "-Wl,-Bsymbolic", "-Wl,-z,defs", "-o", "model.so")
        run_compiler([*options, *objects, "-lpthread", "-ldl", "-lm"], folder)
        return (folder / "model.so").read_bytes()


def compile_parts(code: Code, symbol: str, options: tuple[str, ...], folder: Path) -> list[str]:
    """Put the object files of a model into a folder, those in C compiled with more `options`; their names.

    Raises:
        BackendError: no C compiler is installed, or it failed.
    """
    for number, content in enumerate(code.kernels):
        (folder / f"kernels_{number}.o").write_bytes(content)
    (folder / "tables.c").write_text(code.tables, encoding="utf-8")
    run_compiler([*C_FLAGS, *options, f"-DGP_SYMBOL={symbol}", "-c", "tables.c", *map(str, code.sources)], folder)
    for part, content in _runtime_objects(find_compiler(), options).items():
        (folder / part).write_bytes(content)
    return sorted(path.name for path in folder.glob("*.o"))


@functools.cache
def _runtime_objects(_compiler: tuple[str, ...], options: tuple[str, ...]) -> dict[str, bytes]:
    """The object files of the C part, by name."""
    with work_folder() as folder:
        run_compiler([*C_FLAGS, *options, "-c", *map(str, SOURCES)], folder)
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


def run_compiler(arguments: Sequence[str], folder: Path) -> None:
    """Run the C compiler in a folder.

    Raises:
        BackendError: none is installed, or it failed.
    """
    command = [*find_compiler(), *arguments]
    result = subprocess.run(  # noqa: S603 - the command is the user's own compiler
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if result.returncode:
        lines = [line for line in (result.stderr or result.stdout).splitlines() if line.strip()]
        last = lines[-1] if lines else f"exit code {result.returncode}"
        raise BackendError(f"cannot link the model: {command[0]}: {last}", code="GP411")
