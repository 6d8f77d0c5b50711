"""Machine code: TIR functions to one object file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tvm
from tvm.ir import Call
from tvm_ffi import structural_visit

from graphprune.backends.tvm.building.pipeline import lower
from graphprune.backends.tvm.kernels.view import Handle
from graphprune.backends.tvm.program.recording import span_of
from graphprune.errors import BackendError
from graphprune.files import work_folder
from graphprune.targets.target import Target

_TAKE_WORKSPACE = "tirx.TVMBackendAllocWorkspace"

CODE_BYTES = 64 << 20
"""More than the code of any model takes: LLVM ends the process where it cannot write an object file."""


@dataclass(frozen=True)
class ObjectFile:
    """Machine code, and the bytes of work buffers that a thread needs in the function that needs most."""

    content: bytes
    workspace_bytes: int


def compile_object(functions: Mapping[Handle, Handle], target: Target) -> ObjectFile:
    """The object file of these functions, each a C function of the name of its global variable.

    Raises:
        BackendError: TVM could not compile them, or there is no room for the file.
    """
    chip = tvm.target.Target(target.llvm)
    with work_folder() as folder:
        path = folder / "model.o"
        _check_room(path)
        try:
            with tvm.transform.PassContext(opt_level=3):
                module = lower(functions, chip)
                tvm.get_global_func(f"target.build.{chip.kind.name}")(module, chip).write_to_file(str(path), "o")
        except Exception as error:
            raise BackendError(f"tvm could not compile the model: {_one_line(error)}", code="GP406") from error
        return ObjectFile(path.read_bytes(), max(map(_workspace_bytes, module.functions.values())))


def _workspace_bytes(function: Handle) -> int:
    sizes: list[int] = []

    def visit(call: Handle, visitor: Handle) -> None:
        if getattr(call.op, "name", "") == _TAKE_WORKSPACE:
            sizes.append(span_of(int(call.args[2])))
        visitor.default_visit(call)

    structural_visit(function.body, [(Call, visit)])
    return sum(sizes)


def _check_room(path: Path) -> None:
    try:
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, CODE_BYTES)
    except OSError as error:
        raise BackendError(f"there is no room to compile in {path.parent}: {error.strerror}", code="GP411") from error
    path.unlink()


def _one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
