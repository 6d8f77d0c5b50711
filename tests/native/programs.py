"""Building and running programs in C and its kin, as users do."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from graphprune.native import get_include
from graphprune_runtime.session import CompiledSession

HERE = Path(__file__).parent
STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wl,--fatal-warnings")
LIBRARIES = ("-lpthread", "-ldl", "-lm")
"""What a program needs that a model is linked into; one that loads a model does not."""


def find(compiler: str) -> str:
    """A compiler's path; the test is skipped where it is not installed."""
    found = shutil.which(compiler)
    return found or pytest.skip(f"{compiler} is not installed")


def build(source: Path, folder: Path, *arguments: str, compiler: str = "cc", standard: str = "-std=gnu99") -> Path:
    """The program of a source file; `arguments` are what it is linked with."""
    program = folder / source.stem
    options = (standard, "-O1", "-g", *STRICT, f"-I{get_include()}")
    command = [find(compiler), *options, str(source), *arguments, "-o", str(program)]
    built = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert (built.returncode, built.stderr) == (0, "")
    return program


def run(program: Path, *arguments: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """What a program leaves behind."""
    variables = {**os.environ, **environment}
    command = [str(program), *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=120, env=variables)


def to_bytes(session: CompiledSession, feed: Mapping[str, np.ndarray]) -> bytes:
    """A feed as the examples read it."""
    return b"".join(feed[info.name].tobytes() for info in session.get_inputs())


def results(session: CompiledSession, feed: Mapping[str, np.ndarray]) -> bytes:
    """What the examples are to write for a feed."""
    return b"".join(array.tobytes() for array in session.run(None, feed))
