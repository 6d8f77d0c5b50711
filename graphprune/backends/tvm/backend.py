"""The TVM backend for CPUs: sparse and dense kernels of our own, called by one function a model."""

from __future__ import annotations

import os
from threading import Lock
from typing import TYPE_CHECKING

from graphprune.backends.tvm.building.build import build
from graphprune.backends.tvm.building.measurements import Measurements
from graphprune.backends.tvm.building.session import BuiltSession
from graphprune.backends.tvm.building.tuning import EFFORTS, Tune, Tuner
from graphprune.backends.tvm.kernels.builder import Machine
from graphprune.backends.tvm.program.recording import Kernels, Weights
from graphprune.backends.tvm.variants import VariantLowering
from graphprune.errors import BackendError, InputError
from graphprune.targets.cpuinfo import read_cpu
from graphprune.targets.target import TARGETS
from graphprune_runtime.description import NOT_SAID, Description, Origin
from graphprune_runtime.session import CompiledSession

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from graphprune.backends.base import Variant
    from graphprune.targets.target import Target


_LOWERING = Lock()
"""TVM's builder of functions is one for the process, so models are lowered one after another."""


class TvmBackend:
    """Compiles a model for a CPU."""

    name = "tvm"

    def compile(
        self,
        variants: Sequence[Variant],
        target: Target,
        threads: int,
        tune: str = "none",
        origin: Origin = NOT_SAID,
        sources: Sequence[Path] = (),
        *,
        fallback: bool = False,
    ) -> CompiledSession:
        """Lower, compile and open a model; see `graphprune.backends.base.Backend.compile`.

        `sources` are C files that are linked into the library too.
        """
        tuner = make_tuner(tune, target, threads)
        kernels, weights = Kernels(), Weights()
        with _LOWERING:
            lowering = VariantLowering(machine_of(target, threads), tuner, kernels, weights)
            lower = lowering.in_pieces if fallback else lowering.whole
            lowered = [lower(variant) for variant in variants]
        notes = tuple(each.note for each in lowered)
        programs = [program for each in lowered for program in each.programs]
        description = Description(notes, target.level, TARGETS[target.level].features, threads, origin)
        here = min(threads, os.cpu_count() or 1)
        return BuiltSession(build(programs, kernels, weights, description, target, sources), here)


def machine_of(target: Target, threads: int) -> Machine:
    """What kernels are emitted for: code for a level uses the instruction sets of that level, not all of the chip."""
    sizes = target.vector_lanes, target.vector_registers, target.l1d_bytes, target.l2_bytes, target.l3_bytes
    return Machine(*sizes, threads, frozenset(TARGETS[target.level].features))


def make_tuner(tune: str, target: Target, threads: int) -> Tuner | None:
    """What measures kernels for `target`; None if nothing is to be.

    Raises:
        InputError: `tune` is none of its values.
        BackendError: this processor cannot run the target's code.
    """
    if tune not in set(Tune):
        raise InputError(f"tune is {tune!r}, expected one of {', '.join(Tune)}", code="GP420")
    if tune == Tune.NONE:
        return None
    if missing := sorted(set(TARGETS[target.level].features) - read_cpu().features):
        message = f"kernels for {target.level} cannot be measured here, this processor lacks {', '.join(missing)}"
        raise BackendError(message, code="GP421")
    return Tuner(EFFORTS[Tune(tune)], Measurements(target, threads))
