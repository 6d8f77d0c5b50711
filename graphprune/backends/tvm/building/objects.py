"""Machine code: TIR functions to object files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
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

FUNCTIONS_A_MODULE = 8
"""Compiled together: enough to share what a module costs, few enough to leave work for each processor."""

CODE_BYTES = 64 << 20
"""More than the code of any model takes: LLVM ends the process where it cannot write an object file."""


@dataclass(frozen=True)
class ObjectFile:
    """Machine code, and the bytes of work buffers that a thread needs in the function that needs most."""

    content: bytes
    workspace_bytes: int


def compile_objects(functions: Mapping[Handle, Handle], target: Target) -> list[ObjectFile]:
    """The object files of these functions, each a C function of the name of its global variable.

    They are compiled in modules, on all processors; which function is in which one depends on their order only.

    Raises:
        BackendError: TVM could not compile them, or there is no room for the files.
    """
    items = list(functions.items())
    modules = [dict(items[start : start + FUNCTIONS_A_MODULE]) for start in range(0, len(items), FUNCTIONS_A_MODULE)]
    with work_folder() as folder, ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        _check_room(folder / "room")
        paths = [folder / f"{number}.o" for number in range(len(modules))]
        return list(pool.map(partial(_compile, tvm.target.Target(target.llvm)), modules, paths))


def _compile(chip: Handle, functions: Mapping[Handle, Handle], path: Path) -> ObjectFile:
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
