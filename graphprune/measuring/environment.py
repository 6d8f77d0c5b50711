"""The environment of a measurement: processor, versions and, in a checkout, the commit."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from graphprune.targets.cpuinfo import read_cpu

_DISTRIBUTIONS = ("graphprune", "onnxruntime", "apache-tvm", "numpy", "onnx", "onnx-ir")
_CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Environment:
    """The processor's name, the versions of what runs the models, and the commit where there is one."""

    cpu: str
    processors: int
    versions: dict[str, str]
    commit: str | None


def read_environment() -> Environment:
    """Describe this machine and installation."""
    versions = {}
    for name in _DISTRIBUTIONS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return Environment(read_cpu().model, os.cpu_count() or 1, versions, read_commit(_CHECKOUT))


def read_commit(checkout: Path) -> str | None:
    """The commit checked out of `checkout`, marked `+dirty` if tracked files differ; None without a repository."""
    git = shutil.which("git")
    if git is None or not (checkout / ".git").exists():
        return None
    commit = _git(git, checkout, "rev-parse", "--short=12", "HEAD")
    if commit is None:
        return None
    return f"{commit}+dirty" if _git(git, checkout, "status", "--porcelain", "--untracked-files=no") else commit


def _git(git: str, checkout: Path, *arguments: str) -> str | None:
    result = subprocess.run(  # noqa: S603 - arguments are the constants above
        [git, "-C", str(checkout), *arguments], capture_output=True, text=True, check=False
    )
    return result.stdout.strip() if result.returncode == 0 else None


@contextlib.contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Keep this thread, and those that it starts, on `threads` of the processors it may use, where the system can.

    Sessions belong inside: their thread pools inherit the restriction when they start.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:threads])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
