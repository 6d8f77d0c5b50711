"""Measuring the kernels that a weight may be given, each by itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from graphprune.backends.tvm.building.measurements import Measurements
from graphprune.backends.tvm.building.trial import compile_kernel
from graphprune.backends.tvm.kernels.view import Handle
from graphprune_runtime.interface import TensorInfo

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


@dataclass(frozen=True)
class Tuner:
    """Measures the kernels of one compilation; must run on a processor that can run the target's code."""

    effort: Effort
    measurements: Measurements

    def seconds(self, kernel: str, emit: Callable[[], Emitted], *, is_far: bool = False) -> float:
        """The least time of a run of a TIR function (x, constants..., operands..., y), x and operands random.

        Args:
            kernel: What decides the time: the kernel's name, shape and share of nonzeros.
            emit: Makes the function and its constants.
            is_far: Whether each run reads them from memory.
        """
        described = f"{kernel}, {self.effort.runs} runs{' from memory' * is_far}"
        return self.measurements.seconds(described, lambda: self._run(*emit(), is_far=is_far))

    def _run(self, function: Handle, constants: Sequence[Array], *, is_far: bool) -> float:
        with compile_kernel(function, self.measurements.target, self.measurements.threads) as session:
            given = dict(enumerate(map(np.ravel, constants), 1))
            feed = {info.name: given.get(i, _random(info)) for i, info in enumerate(session.get_inputs())}
            evict = _fill_caches(self.measurements.target.l3_bytes) if is_far else None
            times = session.time_kernels(feed, WARM_UPS + self.effort.runs, evict)
        return min(seconds for (seconds,) in times[WARM_UPS:])


def _fill_caches(l3_bytes: int) -> Callable[[int], None]:
    """What leaves nothing else in them."""
    filling = np.zeros(2 * l3_bytes, np.uint8)
    return lambda _: filling.fill(0)


def _random(info: TensorInfo) -> Array:
    return np.random.default_rng(0).standard_normal(info.static_shape).astype(info.dtype)
