"""The TVM backend for CPUs: sparse and dense kernels of our own, called by one function a model."""

from __future__ import annotations

from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

from graphprune.backends.base import tensor_infos
from graphprune.backends.tvm.batch.split import split_batch
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
from graphprune_runtime.description import Description, ProgramNote
from graphprune_runtime.session import CompiledSession

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphprune.targets.target import Target


_LOWERING = Lock()
"""TVM's builder of functions is one for the process, so models are lowered one after another."""


class TvmBackend:
    """Compiles a model for a CPU."""

    name = "tvm"

    def compile(self, model: ir.Model, target: Target, threads: int, tune: str = "none") -> CompiledSession:
        """Lower, compile and open `model`; see `graphprune.backends.base.Backend.compile`."""
        tuner = make_tuner(tune, target, threads)
        kernels, weights = Kernels(), Weights()
        with _LOWERING:
            program = _lower(model, machine_of(target, threads), tuner, (kernels, weights))
        description = Description((program.note,), target.level, TARGETS[target.level].features, threads)
        return BuiltSession(build([program], kernels, weights, description, target), threads)


def _lower(model: ir.Model, machine: Machine, tuner: Tuner | None, into: tuple[Kernels, Weights]) -> Program:
    inputs = tuple(tensor_infos(model.graph.inputs))
    prepared = prepare(model, lambda node: refusal(node, OPERATORS))
    outputs = tuple(tensor_infos(prepared.graph.outputs))
    batch = split_batch(prepared, machine)
    if batch.samples != 1:
        machine = replace(machine, threads=1)  # they have a sample each
    lowered = lower_graph(prepared.graph, machine, OPERATORS, tuple(SCALAR), ANCHORS, choose_nm, tuner, into=into)
    notes = tuple(lowered.kernels), tuple(lowered.calls), tuple(lowered.layouts)
    return Program(lowered.entry, ProgramNote(inputs, outputs, batch, *notes))


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
