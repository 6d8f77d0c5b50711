"""Files to link statically: an object file, or an archive of it, with the code of a model and its weights."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import BinaryIO

from graphprune.backends.tvm.building.archive import make_archive
from graphprune.backends.tvm.building.linking import Code, compile_parts, run_compiler
from graphprune.backends.tvm.building.symbols import ObjectSymbols, Symbol
from graphprune.errors import BackendError
from graphprune.files import atomic_write, work_folder
from graphprune_runtime.file import CompiledFile, path_of

MOST_BYTES = 2_000_000_000
"""Of weights: code finds what is linked with it within two gigabytes."""

_DATA = """
    .section .rodata, "a", %progbits
    .balign 64
    .globl gp_linked_data
    .hidden gp_linked_data
gp_linked_data:
    .incbin "data.bin"
    .section .note.GNU-stack, "", %progbits
"""


def symbol_of(path: Path) -> str:
    """What the model in a file to link statically is called in C."""
    return "gp_model_" + re.sub(r"[^A-Za-z0-9]", "_", path.stem)


def write_static(code: Code, compiled: CompiledFile, path: Path) -> None:
    """Write the object file, or the archive, that `path` ends with.

    Raises:
        BackendError: the weights are too large, the C compiler failed, or it does not make object files for Linux.
        ModelFileError: the file cannot be written.
    """
    symbol = symbol_of(path)
    linked = ObjectSymbols(_link(code, compiled, symbol))
    linked.make_local(lambda each: each.name == symbol or _is_of_all_models(each))
    content = bytes(linked.content)
    if path.suffix.lower() == ".a":
        content = make_archive(content, [each.name for each in linked.defined()])
    with atomic_write(path) as file:
        file.write(content)


def _is_of_all_models(symbol: Symbol) -> bool:
    """Whether it belongs to the C part, of which programs with several models use one."""
    return symbol.is_weak and symbol.name.startswith("gp_")


def _link(code: Code, compiled: CompiledFile, symbol: str) -> bytes:
    """One object file of all parts."""
    with work_folder() as folder:
        with (folder / "data.bin").open("wb") as file:
            _write_data(compiled, file)
        (folder / "data.S").write_text(_DATA, encoding="ascii")
        run_compiler(["-c", "data.S"], folder)
        objects = compile_parts(code, symbol, ("-DGP_STATIC",), folder)
        run_compiler(["-r", "-nostdlib", "-Wl,-S", "-o", "linked.o", *objects], folder)
        return (folder / "linked.o").read_bytes()


def _write_data(compiled: CompiledFile, file: BinaryIO) -> None:
    """Weights and description."""
    footer = compiled.footer
    if footer.weights_bytes > MOST_BYTES:
        size = f"{footer.weights_bytes / 1e9:.1f} GB"
        raise BackendError(f"weights of {size} do not fit a program, compile to a .so file", code="GP631")
    with Path(path_of(compiled.file)).open("rb") as content:
        content.seek(footer.code_bytes)
        shutil.copyfileobj(content, file)
    file.truncate(footer.weights_bytes + footer.description_bytes)
