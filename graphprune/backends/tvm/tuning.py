"""Measuring kernels on this machine, and remembering what was measured.

A measurement is one small file in the user's cache folder, named by all that decides it: the kernel with its shape and
share of nonzeros, the target, the processor, the version of TVM and of the code that emits kernels. Files appear whole
or not at all, so processes may share the folder; one that cannot be read is measured again.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm

from graphprune.backends.targets import Target
from graphprune.backends.tvm.view import Handle
from graphprune.cpuinfo import read_cpu
from graphprune.errors import GraphPruneError
from graphprune.files import atomic_write, cache_dir

Array = npt.NDArray[Any]
Emitted = tuple[Handle, list[Array]]
"""A TIR function, and the constants that it takes after its input."""


class Tune(StrEnum):
    """How much time goes into choosing kernels."""

    NONE = "none"
    QUICK = "quick"
    FULL = "full"


@dataclass(frozen=True)
class Effort:
    """How often a kernel is run, and which ones are: those estimated at up to `within` times the fastest."""

    runs: int
    within: float


EFFORTS = {Tune.QUICK: Effort(5, 1.25), Tune.FULL: Effort(25, math.inf)}

WARM_UPS = 2


@dataclass
class Tuner:
    """Measures the kernels of one compilation; must run on a processor that can run the target's code."""

    target: Target
    threads: int
    effort: Effort
    folder: Path = field(default_factory=lambda: cache_dir() / "kernels")
    measured: int = 0
    """Kernels that were run; the others were remembered."""

    def seconds(self, kernel: str, emit: Callable[[], Emitted]) -> float:
        """The least time of a run of a TIR function (x, constants..., operands..., y), x and operands random.

        Args:
            kernel: What decides the time: the kernel's name, shape and share of nonzeros.
            emit: Makes the function and its constants.
        """
        path = self.folder / f"{self._key(kernel)}.txt"
        known = _read(path)
        if known is None:
            known = self._run(*emit())
            self.measured += 1
            _write(path, known)
        return known

    def _key(self, kernel: str) -> str:
        machine = (self.target.mcpu, read_cpu().model, str(self.threads), str(self.effort.runs))
        described = (kernel, *machine, tvm.__version__, _code_version())
        return hashlib.sha256("\n".join(described).encode()).hexdigest()

    def _run(self, function: Handle, constants: Sequence[Array]) -> float:
        module = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
        chip = tvm.target.Target({"kind": "llvm", "mcpu": self.target.mcpu})
        main = tvm.compile(module, target=chip)["main"]
        given = dict(enumerate(map(np.ravel, constants), 1))
        tensors = [tvm.runtime.tensor(given.get(i, _random(buffer))) for i, buffer in enumerate(function.params)]
        times = []
        for _ in range(WARM_UPS + self.effort.runs):
            start = time.perf_counter()
            main(*tensors)
            times.append(time.perf_counter() - start)
        return min(times[WARM_UPS:])


@functools.cache
def _code_version() -> str:
    """A digest of the code that emits kernels."""
    digest = hashlib.sha256()
    for source in sorted((Path(__file__).parent / "kernels").glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _random(buffer: Handle) -> Array:
    size = math.prod(int(extent) for extent in buffer.shape)
    return np.random.default_rng(0).standard_normal(size).astype(str(buffer.dtype))


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
