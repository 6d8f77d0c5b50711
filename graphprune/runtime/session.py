"""A compiled model: feeding, running, timing its kernels, saving and loading."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from os import PathLike
from pathlib import Path
from threading import Lock

import numpy as np
import tvm_ffi

from graphprune.errors import BackendError
from graphprune.files import copy_file
from graphprune.runtime.description import DESCRIPTION, BatchNote, Description, KernelCall, KernelNote, LayoutNote
from graphprune.runtime.interface import TensorInfo, check_feed, check_output_names
from graphprune.runtime.machine import (
    Handle,
    allocate,
    array_of,
    load_library,
    processors,
    quiet_stderr,
    use_threads,
    virtual_machine,
)
from graphprune.runtime.program import Program
from graphprune.runtime.weights import aligned
from graphprune.runtime.weights import read as read_weights
from graphprune.targets.cpuinfo import read_cpu
from graphprune.targets.target import TARGETS


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
        self._weights = tvm_ffi.Array([_tensor(array) for array in weights])
        self._pool: tuple[ThreadPoolExecutor, tuple[int, ...]] | None = None
        self._at_once = min(threads, self.samples)
        self._programs = [self._program() for _ in range(self._at_once)]

    @property
    def samples(self) -> int:
        """How often the program runs for one batch."""
        return self._description.batch.samples

    def run(self, output_names: Sequence[str] | None, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Run once; see `graphprune.runtime.interface.Session.run`."""
        names = check_output_names(self._description.outputs, output_names)
        self._check(feed)
        with self._running:
            results = self._run(feed)
        positions = {info.name: i for i, info in enumerate(self._description.outputs)}
        return [results[positions[name]] for name in names]

    def _check(self, feed: Mapping[str, np.ndarray]) -> None:
        check_feed(self._description.inputs, feed)
        if self._missing:
            raise _wrong_processor("the model", self._description.target, self._missing)

    def _run(self, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """All outputs, on this session's threads."""
        if self.samples > 1:
            return self._run_samples(feed)
        self._use_threads()
        return self._programs[0].run(self._inputs(feed, 0))

    def _use_threads(self) -> None:
        """Size the pool for kernels that share their work; it is left alone by code that never asks for it."""
        if self._description.threads > 1 and self.samples == 1:
            use_threads(self._threads)

    def _run_samples(self, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Run the samples one after another; each thread takes the next one when it has done one."""
        results = [np.empty(_shape(info), info.dtype) for info in self._description.outputs]

        def run_sample(sample: int) -> None:
            program = self._programs.pop()
            try:
                rows = program.run(self._inputs(feed, sample))
            finally:
                self._programs.append(program)
            for result, row in zip(results, rows, strict=True):
                result[sample] = row[0]

        run_all = map if self._at_once == 1 else self._workers().map
        list(run_all(run_sample, range(self.samples)))
        return results

    def _workers(self) -> ThreadPoolExecutor:
        """As many threads as programs. They are kept, since TVM keeps memory for each thread."""
        if self._pool is None or self._pool[1] != processors():
            self._pool = ThreadPoolExecutor(self._at_once), processors()
        return self._pool[0]

    def _inputs(self, feed: Mapping[str, np.ndarray], sample: int) -> list[np.ndarray]:
        """What the program takes for one sample; inputs without an extent of the batch are the same for all."""
        infos = self._description.inputs
        return [feed[info.name][sample] if self._is_batched(info) else feed[info.name] for info in infos]

    def _program(self) -> Program:
        inputs, outputs = (
            [(self._shape_of_one(info), info.dtype) for info in infos]
            for infos in (self._description.inputs, self._description.outputs)
        )
        return Program(self._module, inputs, outputs, self._weights)

    def _is_batched(self, info: TensorInfo) -> bool:
        return self.samples > 1 and info.shape[:1] == (self.samples,)

    def _shape_of_one(self, info: TensorInfo) -> tuple[int, ...]:
        return (1, *_shape(info)[1:]) if self._is_batched(info) else _shape(info)

    def time_kernels(
        self, feed: Mapping[str, np.ndarray], runs: int, on_run: Callable[[int], None] | None = None
    ) -> list[list[float]]:
        """Seconds of each of `calls` in each of so many runs, the samples of a batch added up."""
        program = self._program()
        starts: list[int] = []
        ends: list[int] = []

        def note(_function: object, symbol: str, before: bool, *_others: object) -> None:  # noqa: FBT001
            if not symbol.startswith("vm."):
                (starts if before else ends).append(time.perf_counter_ns())

        program.instrument(note)
        self._check(feed)
        self._use_threads()
        for number in range(runs):
            for sample in range(self.samples):
                program.run(self._inputs(feed, sample))
            if on_run:
                on_run(number + 1)
        seconds = (np.array(ends) - np.array(starts)).reshape(runs, self.samples, len(self.calls)) / 1e9
        times: list[list[float]] = seconds.sum(axis=1).tolist()
        return times

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
    def batch(self) -> BatchNote:
        """How a batch is run, and why so."""
        return self._description.batch

    @property
    def layouts(self) -> tuple[LayoutNote, ...]:
        """The memory layouts of the values that are not row-major."""
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


def _shape(info: TensorInfo) -> tuple[int, ...]:
    """The shape, which is static in compiled models."""
    return tuple(int(extent) for extent in info.shape if extent is not None)


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

    Code compiled for several threads runs on any number of them, and so does a batch that is run sample by sample.

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
    if threads > 1 and described.threads == described.batch.samples == 1:
        raise BackendError(
            f"'{path}' was compiled for 1 thread, cannot run on {threads}; compile it with --threads {threads}",
            code="GP412",
        )
    weights = read_weights(Path(path), described.weights)
    return CompiledSession(module, described, threads, weights, partial(copy_file, Path(path)))
