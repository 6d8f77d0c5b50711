"""One kernel as a model of its own, to be run and timed as it would be in a larger one."""

from __future__ import annotations

import math

import numpy as np

from graphprune.backends.tvm.building.build import Program, build
from graphprune.backends.tvm.building.session import BuiltSession
from graphprune.backends.tvm.kernels.builder import NAME
from graphprune.backends.tvm.kernels.view import Handle
from graphprune.backends.tvm.program.entry import make_entry
from graphprune.backends.tvm.program.recording import Buffer, Kernels, Recording, Weights
from graphprune.targets.target import TARGETS, Target
from graphprune_runtime.description import Description, KernelCall, ProgramNote
from graphprune_runtime.interface import TensorInfo
from graphprune_runtime.session import CompiledSession


def compile_kernel(function: Handle, target: Target, threads: int) -> CompiledSession:
    """The session of a TIR function (x0, x1, ..., y), all of them flat; its inputs are called by these names."""
    *inputs, output = [(math.prod(map(int, buffer.shape)), str(buffer.dtype)) for buffer in function.params]
    recording = Recording(Kernels(), Weights())
    result = Buffer(*output)
    recording.call(function, [recording.input(*each) for each in inputs], [result])
    note = ProgramNote(
        tuple(_info(f"x{i}", *each) for i, each in enumerate(inputs)),
        (_info("y", *output),),
        calls=(KernelCall("", "", str(function.attrs[NAME]), 0, 0),),
    )
    program = Program(make_entry(recording, [result]), note)
    description = Description((note,), target.level, TARGETS[target.level].features, threads)
    return BuiltSession(build([program], recording.kernels, recording.weights, description, target), threads)


def _info(name: str, size: int, dtype: str) -> TensorInfo:
    return TensorInfo(name, (size,), np.dtype(dtype))
