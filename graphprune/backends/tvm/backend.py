"""The TVM backend for CPUs: sparse and dense kernels of our own, called by one function a model."""

from __future__ import annotations

import os
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

from graphprune.backends.base import tensor_infos
from graphprune.backends.tvm.batch.split import open_batch, split_batch
from graphprune.backends.tvm.building.build import Program, build
from graphprune.backends.tvm.building.measurements import Measurements
from graphprune.backends.tvm.building.session import BuiltSession
from graphprune.backends.tvm.building.tuning import EFFORTS, Tune, Tuner
from graphprune.backends.tvm.kernels.builder import Machine
from graphprune.backends.tvm.lowering.graph import lower_graph
from graphprune.backends.tvm.operators import ANCHORS, OPERATORS
from graphprune.backends.tvm.operators.nm import choose_nm
from graphprune.backends.tvm.operators.scalar import SCALAR
from graphprune.backends.tvm.operators.support import refusal
from graphprune.backends.tvm.program.recording import Kernels, Weights
from graphprune.backends.tvm.rewrites.prepare import prepare
from graphprune.errors import BackendError, InputError
from graphprune.targets.cpuinfo import read_cpu
from graphprune.targets.target import TARGETS
from graphprune_runtime.description import NOT_SAID, Description, Origin, ProgramNote
from graphprune_runtime.interface import TensorInfo
from graphprune_runtime.session import CompiledSession

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import onnx_ir as ir

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
    ) -> CompiledSession:
        """Lower, compile and open a model; see `graphprune.backends.base.Backend.compile`.

        `sources` are C files that are linked into the library too.
        """
        tuner = make_tuner(tune, target, threads)
        kernels, weights = Kernels(), Weights()
        with _LOWERING:
            machine = machine_of(target, threads)
            programs = [_lower(variant, machine, tuner, (kernels, weights)) for variant in variants]
        notes = tuple(program.note for program in programs)
        description = Description(notes, target.level, TARGETS[target.level].features, threads, origin)
        here = min(threads, os.cpu_count() or 1)
        return BuiltSession(build(programs, kernels, weights, description, target, sources), here)


def _lower(variant: Variant, machine: Machine, tuner: Tuner | None, into: tuple[Kernels, Weights]) -> Program:
    prepared = _prepare(variant.model)
    outputs = tuple(tensor_infos(prepared.graph.outputs))
    if variant.open_batch:
        batch = open_batch(prepared, _prepare(variant.open_batch.other), variant)
        outputs = tuple(_with_open_samples(info, variant) for info in outputs)
    else:
        batch = split_batch(prepared, machine)
    if batch.samples is not None and batch.samples > 1:
        machine = replace(machine, threads=1)  # they have a sample each
    lowered = lower_graph(prepared.graph, machine, OPERATORS, tuple(SCALAR), ANCHORS, choose_nm, tuner, into=into)
    notes = tuple(lowered.kernels), tuple(lowered.calls), tuple(lowered.layouts)
    return Program(lowered.entry, ProgramNote(variant.inputs, outputs, batch, *notes))


def _prepare(model: ir.Model) -> ir.Model:
    return prepare(model, lambda node: refusal(node, OPERATORS))


def _with_open_samples(info: TensorInfo, variant: Variant) -> TensorInfo:
    """An output of an open number of samples, which is called what the inputs call it."""
    symbol = next(each.shape[0] for each in variant.inputs if each.shape and not isinstance(each.shape[0], int))
    return TensorInfo(info.name, (symbol, *info.shape[1:]), info.dtype)


def machine_of(target: Target, threads: int) -> Machine:
    """What kernels are emitted for: code for a level uses the instruction sets of that level, not all of the chip."""
    sizes = target.vector_lanes, target.vector_registers, target.l1d_bytes, target.l2_bytes
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
