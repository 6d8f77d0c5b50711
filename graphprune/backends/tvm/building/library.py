"""Compiling a Relax module to machine code, and writing it as one shared library."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import tvm
from tvm import relax

from graphprune.backends.tvm.building.bounds import tir_pipeline
from graphprune.backends.tvm.kernels.view import Handle
from graphprune.errors import BackendError
from graphprune.files import atomic_write
from graphprune.runtime.machine import quiet_stderr
from graphprune.runtime.weights import append
from graphprune.targets.target import Target


def build(builder: relax.BlockBuilder, target: Target) -> Handle:
    """The executable of a lowered module.

    Raises:
        BackendError: TVM could not compile it.
    """
    chip = tvm.target.Target(target.llvm)
    try:
        with tvm.transform.PassContext(opt_level=3), quiet_stderr():
            return relax.build(builder.get(), chip, relax_pipeline=_pipeline(), tir_pipeline=tir_pipeline())
    except Exception as error:
        raise BackendError(f"tvm could not compile the model: {_one_line(error)}", code="GP406") from error


def _pipeline() -> Handle:
    """Relax's build pipeline without legalisation: the module holds calls of TIR functions and reshapes only.

    Its `RewriteDataflowReshape`, left out with it, refuses TIR functions without blocks, which ours are.
    """
    t = relax.transform
    return tvm.transform.Sequential(
        [
            t.BundleModelParams(),
            t.ToNonDataflow(),
            t.RemovePurityChecking(),
            t.CallTIRRewrite(),
            t.StaticPlanBlockMemory(),
            t.LowerAllocTensor(),
            t.KillAfterLastUse(),
            t.LowerRuntimeBuiltin(),
            t.ComputePrimValue(),
            t.VMShapeLower(),
            t.AttachGlobalSymbol(),
        ]
    )


CODE_BYTES = 64 << 20
"""More than the code of any model takes; what linking needs room for."""


def export(executable: Handle, weights: Sequence[np.ndarray], path: Path) -> None:
    """Link the executable into a shared library at `path`, with the weights; it appears only when it is complete.

    Raises:
        BackendError: no linker is installed, or it failed.
        ModelFileError: the file cannot be written.
    """
    link = partial(_link, linker())
    link.object_format = "o"  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory(prefix="graphprune-") as folder:
        made = Path(folder) / "library.so"
        try:
            _check_room(made, CODE_BYTES)
            with quiet_stderr():
                executable.export_library(str(made), fcompile=link, workspace_dir=folder)
        except Exception as error:
            raise BackendError(f"cannot link '{path}': {_one_line(error)}", code="GP411") from error
        with atomic_write(path) as file:
            file.write(made.read_bytes())
            append(file, weights)


def _check_room(path: Path, size: int) -> None:
    """Raise OSError unless a file of `size` bytes fits: LLVM ends the process where it cannot write an object file."""
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    path.unlink()


def linker() -> list[str]:
    """The command that links object files into a shared library: the system's C compiler, else zig's.

    Raises:
        BackendError: neither is installed.
    """
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if compiler:
        return [compiler]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc"]
    raise BackendError("saving needs a linker: install a C compiler, or `pip install graphprune[zig]`", code="GP407")


def _link(command: list[str], output: str, objects: list[str], **_options: object) -> None:
    """TVM's hook for linking.

    Raises:
        OSError: the linker failed; the message is its last line.
    """
    result = subprocess.run(  # noqa: S603 - the command is the user's own compiler
        [*command, "-shared", "-fPIC", "-o", output, *objects], capture_output=True, text=True, check=False
    )
    if result.returncode:
        lines = [line for line in (result.stderr or result.stdout).splitlines() if line.strip()]
        raise OSError(f"{command[0]}: {lines[-1] if lines else f'exit code {result.returncode}'}")


def _one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
