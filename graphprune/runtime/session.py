"""A compiled model: feeding, running, timing its kernels, saving and loading."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from threading import Lock

import numpy as np
import tvm_ffi

from graphprune.backends.base import TensorInfo, check_feed, check_output_names
from graphprune.backends.targets import TARGETS
from graphprune.cpuinfo import read_cpu
from graphprune.errors import BackendError
from graphprune.files import copy_file
from graphprune.runtime.description import DESCRIPTION, Description, KernelCall, KernelNote, LayoutNote
from graphprune.runtime.machine import (
    Handle,
    allocate,
    array_of,
    load_library,
    quiet_stderr,
    use_threads,
    virtual_machine,
)
from graphprune.runtime.weights import aligned
from graphprune.runtime.weights import read as read_weights


class CompiledSession:
    """A compiled model, with the call signature of `onnxruntime.InferenceSession`."""

    def __init__(
        self,
        module: Handle,
        description: Description,
        threads: int,
        weights: Sequence[np.ndarray],
        write: Callable[[Path], None],
    ) -> None:
        self._module = module
        self._write = write
        self._running = Lock()
        self._missing = missing_features(description.target)
        self._description = description
        self._threads = threads
        self._inputs = [allocate(_elements(info), info.dtype) for info in description.inputs]
        self._weights = tvm_ffi.Array([_tensor(array) for array in weights])
        self._main = virtual_machine(module)["main"]

    def run(self, output_names: Sequence[str] | None, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Run once; see `graphprune.backends.base.Session.run`."""
        names = check_output_names(self._description.outputs, output_names)
        results = self._call(self._main, feed)
        positions = {info.name: i for i, info in enumerate(self._description.outputs)}
        return [self._output(results[positions[name]], positions[name]) for name in names]

    def _call(self, main: Handle, feed: Mapping[str, np.ndarray]) -> Handle:
        """All outputs of `main`, on this session's threads."""
        check_feed(self._description.inputs, feed)
        if self._missing:
            raise _wrong_processor("the model", self._description.target, self._missing)
        with self._running:
            if self._description.threads > 1:  # the pool is left alone by code that never asks for it
                use_threads(self._threads)
            for info, (_, memory) in zip(self._description.inputs, self._inputs, strict=True):
                np.copyto(memory, feed[info.name].reshape(-1))
            try:
                return main(*(tensor for tensor, _ in self._inputs), self._weights)
            except RuntimeError as error:
                raise BackendError(str(error).strip().splitlines()[0], code="GP413") from error

    def time_kernels(
        self, feed: Mapping[str, np.ndarray], runs: int, on_run: Callable[[int], None] | None = None
    ) -> list[list[float]]:
        """Seconds of each call of a kernel, in the order of `Description.calls`, for each of so many runs."""
        machine = virtual_machine(self._module)
        starts: list[int] = []
        ends: list[int] = []

        def note(_function: object, symbol: str, before: bool, *_others: object) -> None:  # noqa: FBT001
            if not symbol.startswith("vm."):
                (starts if before else ends).append(time.perf_counter_ns())

        machine["set_instrument"](note)
        for number in range(runs):
            self._call(machine["main"], feed)
            if on_run:
                on_run(number + 1)
        seconds = [(end - start) / 1e9 for start, end in zip(starts, ends, strict=True)]
        count = len(self._description.calls)
        return [seconds[first : first + count] for first in range(0, len(seconds), count)]

    def _output(self, tensor: Handle, index: int) -> np.ndarray:
        info = self._description.outputs[index]
        return array_of(tensor, info.dtype, [int(d) for d in info.shape if d is not None])

    def get_inputs(self) -> list[TensorInfo]:
        """The inputs in the model's order."""
        return list(self._description.inputs)

    def get_outputs(self) -> list[TensorInfo]:
        """The outputs in the model's order."""
        return list(self._description.outputs)

    @property
    def kernels(self) -> tuple[KernelNote, ...]:
        """For each node with a weight, which kernels it could be given, which one it was given and why."""
        return self._description.kernels

    @property
    def layouts(self) -> tuple[LayoutNote, ...]:
        """The values that do not lie row-major."""
        return self._description.layouts

    @property
    def calls(self) -> tuple[KernelCall, ...]:
        """The calls of kernels that a run is made of, in order."""
        return self._description.calls

    def save(self, path: str | PathLike[str]) -> None:
        """Write code and weights to one shared library, which `graphprune.load_session` reads.

        Raises:
            BackendError: there is no linker, or it failed.
            ModelFileError: the file cannot be written.
        """
        self._write(Path(path))


def _elements(info: TensorInfo) -> int:
    return math.prod(int(extent) for extent in info.shape if extent is not None)


def _tensor(array: np.ndarray) -> Handle:
    """The array as a tensor of the runtime; the same memory wherever NumPy can share its element type."""
    if array.dtype.isbuiltin == 1 and array.size:
        return tvm_ffi.from_dlpack(aligned(array))
    tensor, memory = allocate(array.size, array.dtype)
    memory[:] = array
    return tensor


def missing_features(target: str) -> list[str]:
    """Instruction sets that code for `target` uses and this processor lacks."""
    return sorted(set(TARGETS[target].features) - read_cpu().features)


def _wrong_processor(what: str, target: str, missing: Sequence[str]) -> BackendError:
    message = f"{what} was compiled for {target}, but this processor lacks {', '.join(missing)}"
    return BackendError(message, code="GP419")


def load(path: str | PathLike[str], threads: int) -> CompiledSession:
    """Load a library that `CompiledSession.save` wrote.

    Code compiled for several threads runs on any number of them.

    Raises:
        BackendError: it is not one, is for another processor, or was compiled for one thread and is to run on more.
    """
    try:
        with quiet_stderr():
            module = load_library(Path(path))
            found = virtual_machine(module)[DESCRIPTION]()
        description = array_of(found, np.dtype(np.uint8), found.shape).tobytes().decode()
    except Exception as error:
        raise BackendError(f"'{path}' is not a compiled model", code="GP409") from error
    described = Description.from_json(description)
    if missing := missing_features(described.target):
        raise _wrong_processor(f"'{path}'", described.target, missing)
    if threads > 1 and described.threads == 1:
        raise BackendError(
            f"'{path}' was compiled for 1 thread, cannot run on {threads}; compile it with --threads {threads}",
            code="GP412",
        )
    weights = read_weights(Path(path), described.weights)
    return CompiledSession(module, described, threads, weights, partial(copy_file, Path(path)))
