"""The TVM backend for CPUs: sparse and dense kernels of our own, memory planning and the virtual machine of Relax."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from tvm import relax

from graphprune.backends.base import tensor_infos
from graphprune.backends.tvm.batch.split import split_batch
from graphprune.backends.tvm.building.library import build, export
from graphprune.backends.tvm.building.measurements import Measurements
from graphprune.backends.tvm.building.tuning import EFFORTS, Tune, Tuner
from graphprune.backends.tvm.kernels.builder import Machine
from graphprune.backends.tvm.lowering.graph import lower_graph
from graphprune.backends.tvm.operators import ANCHORS, OPERATORS
from graphprune.backends.tvm.operators.nm import choose_nm
from graphprune.backends.tvm.operators.scalar import SCALAR
from graphprune.backends.tvm.operators.support import refusal
from graphprune.backends.tvm.rewrites.prepare import prepare
from graphprune.errors import BackendError, InputError
from graphprune.runtime.description import DESCRIPTION, Description
from graphprune.runtime.machine import use_threads
from graphprune.runtime.session import CompiledSession, missing_features
from graphprune.runtime.weights import aligned
from graphprune.targets.target import TARGETS

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphprune.targets.target import Target


_LOWERING = Lock()
"""Relax's builder of blocks is one for the process, so models are lowered one after another."""


class TvmBackend:
    """Compiles a model for a CPU."""

    name = "tvm"

    def compile(self, model: ir.Model, target: Target, threads: int, tune: str = "none") -> CompiledSession:
        """Lower, compile and wrap `model`; see `graphprune.backends.base.Backend.compile`."""
        tuner = make_tuner(tune, target, threads)
        machine = machine_of(target, threads)
        prepared = prepare(model, lambda node: refusal(node, OPERATORS))
        outputs = tuple(tensor_infos(prepared.graph.outputs))
        batch = split_batch(prepared, machine)
        if batch.samples > 1:
            machine = replace(machine, threads=1)  # they have a sample each
        with _LOWERING:
            lowered = lower_graph(prepared.graph, machine, OPERATORS, tuple(SCALAR), ANCHORS, choose_nm, tuner)
        description = Description(
            tuple(tensor_infos(model.graph.inputs)),
            outputs,
            target.level,
            target.features,
            threads,
            tuple((str(array.dtype), array.size) for array in lowered.weights),
            tuple(lowered.kernels),
            tuple(lowered.calls),
            tuple(lowered.layouts),
            batch,
        )
        with _LOWERING:
            _describe(lowered.builder, description)
        executable = build(lowered.builder, target)
        weights = [aligned(array) for array in lowered.weights]
        write = partial(export, executable, weights)
        return CompiledSession(executable.jit(), description, threads, weights, write)


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
    if missing := missing_features(target.level):
        message = f"kernels for {target.level} cannot be measured here, this processor lacks {', '.join(missing)}"
        raise BackendError(message, code="GP421")
    use_threads(threads)
    return Tuner(EFFORTS[Tune(tune)], Measurements(target, threads))


def _describe(builder: relax.BlockBuilder, description: Description) -> None:
    """Add the function that returns the description, so that a saved library explains itself."""
    text = np.frombuffer(description.to_json().encode(), np.uint8)
    with builder.function(DESCRIPTION, []):
        builder.emit_func_output(builder.emit(relax.const(text)))
