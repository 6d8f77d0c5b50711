"""Machine code: TIR functions to object files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import tvm
from tvm.ir import Call
from tvm_ffi import structural_visit

from graphprune.backends.tvm.building import code_cache
from graphprune.backends.tvm.building.code_cache import ObjectFile
from graphprune.backends.tvm.building.pipeline import lower
from graphprune.backends.tvm.kernels.view import Handle
from graphprune.backends.tvm.program.recording import span_of
from graphprune.errors import BackendError
from graphprune.files import work_folder
from graphprune.targets.target import Target

_TAKE_WORKSPACE = "tirx.TVMBackendAllocWorkspace"

CODE_BYTES = 64 << 20
"""More than the code of any model takes: LLVM ends the process where it cannot write an object file."""


def compile_objects(functions: Mapping[Handle, Handle], target: Target) -> list[ObjectFile]:
    """The object files of these functions, each a C function of the name of its global variable.

    Each is compiled by itself, on all processors, unless it is remembered from before.

    Raises:
        BackendError: TVM could not compile them, or there is no room for the files.
    """
    keys = {variable: code_cache.key_of(variable.name_hint, each, target) for variable, each in functions.items()}
    known = code_cache.find(list(keys.values()))
    missing = {variable: each for variable, each in functions.items() if keys[variable] not in known}
    made = {keys[variable]: each for variable, each in zip(missing, _compile_all(missing, target), strict=True)}
    code_cache.keep(made)
    known |= made
    return [known[key] for key in keys.values()]


def _compile_all(functions: Mapping[Handle, Handle], target: Target) -> list[ObjectFile]:
    with work_folder() as folder, ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        _check_room(folder / "room")
        paths = [folder / f"{number}.o" for number in range(len(functions))]
        return list(pool.map(partial(_compile, tvm.target.Target(target.llvm)), functions.items(), paths))


def _compile(chip: Handle, function: tuple[Handle, Handle], path: Path) -> ObjectFile:
    try:
        with tvm.transform.PassContext(opt_level=3):
            module = lower(dict([function]), chip)
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
