"""A cache of measurements on this machine, in files.

A measurement is one small file in the user's cache folder, named by all that decides it: what is measured, the target,
the processor, the number of threads, the version of TVM and of the code that emits kernels. Files appear whole or not
at all, so processes may share the folder; one that cannot be read is measured again.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from graphprune.backends.tvm.building.code_version import code_version
from graphprune.errors import GraphPruneError
from graphprune.files import atomic_write, cache_dir
from graphprune.targets.cpuinfo import read_cpu
from graphprune.targets.target import Target


@dataclass
class Measurements:
    """Times of code for one target, run on so many threads."""

    target: Target
    threads: int
    folder: Path = field(default_factory=lambda: cache_dir() / "kernels")
    taken: int = 0
    """Measurements that were taken; the others were remembered."""

    def seconds(self, described: str, measure: Callable[[], float]) -> float:
        """What is remembered of what is `described`; else what `measure` returns."""
        path = self.folder / f"{self._key(described)}.txt"
        known = _read(path)
        if known is None:
            known = measure()
            self.taken += 1
            _write(path, known)
        return known

    def least_seconds(self, described: str, measure: Callable[[], float]) -> float:
        """The least that was ever measured, now included: other work on the machine only makes it look slower."""
        path = self.folder / f"{self._key(described)}.txt"
        least = min(measure(), _read(path) or math.inf)
        _write(path, least)
        return least

    def _key(self, described: str) -> str:
        machine = (self.target.level, read_cpu().model, str(self.threads))
        return hashlib.sha256("\n".join((described, *machine, code_version())).encode()).hexdigest()


def _read(path: Path) -> float | None:
    with contextlib.suppress(OSError, ValueError):
        seconds = float(path.read_text(encoding="ascii"))
        if math.isfinite(seconds) and seconds > 0:
            return seconds
    return None


def _write(path: Path, seconds: float) -> None:
    """Remember; a folder that takes no file costs time the next time, never the model."""
    with contextlib.suppress(OSError, GraphPruneError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(f"{seconds!r}\n".encode("ascii"))
