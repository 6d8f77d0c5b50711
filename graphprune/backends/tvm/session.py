"""A compiled model: feeding, running, saving and loading."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from threading import Lock

import numpy as np
import tvm
from tvm import relax

from graphprune.backends.base import TensorInfo, check_feed, check_output_names
from graphprune.backends.targets import TARGETS
from graphprune.backends.tvm import weights_file
from graphprune.backends.tvm.description import Description, KernelCall, KernelNote
from graphprune.backends.tvm.library import DESCRIPTION, export, quiet_stderr
from graphprune.backends.tvm.view import Handle
from graphprune.cpuinfo import read_cpu
from graphprune.errors import BackendError
from graphprune.files import copy_file


class TvmSession:
    """A compiled model, with the call signature of `onnxruntime.InferenceSession`."""

    def __init__(
        self,
        executable: Handle,
        description: Description,
        threads: int,
        weights: Sequence[np.ndarray] = (),
        library: Path | None = None,
    ) -> None:
        self._executable = executable
        self._library = library
        self._running = Lock()
        self._missing = missing_features(description.target)
        self._description = description
        self._threads = threads
        self._device = tvm.cpu()
        self._arrays = weights
        self._weights = [tvm.runtime.from_dlpack(array) for array in map(weights_file.aligned, weights)]
        self._main = relax.VirtualMachine(executable, self._device)["main"]

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
        arrays = [tvm.runtime.tensor(np.ascontiguousarray(feed[i.name]).reshape(-1)) for i in self._description.inputs]
        with self._running:
            use_threads(self._threads)
            try:
                return main(*arrays, *self._weights)
            except RuntimeError as error:
                raise BackendError(str(error).strip().splitlines()[0], code="GP413") from error

    def time_kernels(
        self, feed: Mapping[str, np.ndarray], runs: int, on_run: Callable[[int], None] | None = None
    ) -> list[list[float]]:
        """Seconds of each call of a kernel, in the order of `Description.calls`, for each of so many runs."""
        machine = relax.VirtualMachine(self._executable, self._device)
        starts: list[int] = []
        ends: list[int] = []

        def note(_function: object, symbol: str, before: bool, *_others: object) -> None:  # noqa: FBT001
            if not symbol.startswith("vm."):
                (starts if before else ends).append(time.perf_counter_ns())

        machine.set_instrument(note)
        for number in range(runs):
            self._call(machine["main"], feed)
            if on_run:
                on_run(number + 1)
        seconds = [(end - start) / 1e9 for start, end in zip(starts, ends, strict=True)]
        count = len(self._description.calls)
        return [seconds[first : first + count] for first in range(0, len(seconds), count)]

    def _output(self, tensor: Handle, index: int) -> np.ndarray:
        info = self._description.outputs[index]
        # Extension types such as bfloat16 cannot be shared, only copied.
        array: np.ndarray = np.from_dlpack(tensor) if info.dtype.isbuiltin == 1 else tensor.numpy()
        return array.reshape([int(d) for d in info.shape if d is not None])

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
    def calls(self) -> tuple[KernelCall, ...]:
        """The calls of kernels that a run is made of, in order."""
        return self._description.calls

    def save(self, path: str | PathLike[str]) -> None:
        """Write code and weights to one shared library, which `graphprune.load_session` reads.

        Weights above 2 GB go to a second file beside it, named as the library with `.weights` added.

        Raises:
            BackendError: there is no linker, or it failed.
            ModelFileError: the file cannot be written.
        """
        if self._arrays:
            weights_file.write(Path(f"{path}.weights"), self._arrays)
        if self._library is None:
            export(self._executable, Path(path), self._description.embedded_bytes)
        else:
            copy_file(self._library, Path(path))


def missing_features(target: str) -> list[str]:
    """Instruction sets that code for `target` uses and this processor lacks."""
    return sorted(set(TARGETS[target].features) - read_cpu().features)


def _wrong_processor(what: str, target: str, missing: Sequence[str]) -> BackendError:
    message = f"{what} was compiled for {target}, but this processor lacks {', '.join(missing)}"
    return BackendError(message, code="GP419")


def use_threads(threads: int) -> None:
    """Set the size of TVM's thread pool, of which each thread that runs models has its own."""
    if threads != _pool.size:
        tvm.get_global_func("runtime.config_threadpool")(_FASTEST_CORES, threads)
        _pool.size = threads


class _Pool(threading.local):
    """The size of this thread's pool; 0 while it is not known."""

    size = 0


_pool = _Pool()
_FASTEST_CORES = 1

# Asked when a pool is made: TVM takes half of the processors otherwise, whatever the pool's size is set to.
os.environ.setdefault("TVM_NUM_THREADS", str(os.cpu_count() or 1))


def load(path: str | PathLike[str], threads: int) -> TvmSession:
    """Load a library that `TvmSession.save` wrote.

    Code compiled for several threads runs on any number of them.

    Raises:
        BackendError: it is not one, is for another processor, or was compiled for one thread and is to run on more.
    """
    try:
        with quiet_stderr():
            module = tvm.runtime.load_module(str(path))
            description = relax.VirtualMachine(module, tvm.cpu())[DESCRIPTION]().numpy().tobytes().decode()
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
    weights = weights_file.read(Path(f"{path}.weights"), described.weights) if described.weights else []
    return TvmSession(module, described, threads, weights, Path(path))
