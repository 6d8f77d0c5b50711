"""A compiled model: feeding, running, saving and loading."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import tvm
from tvm import relax

from graphprune.backends.base import TensorInfo, check_feed, check_output_names
from graphprune.backends.targets import TARGETS
from graphprune.backends.tvm import weights_file
from graphprune.backends.tvm.library import DESCRIPTION, export, quiet_stderr
from graphprune.backends.tvm.lowering import KernelNote
from graphprune.backends.tvm.view import Handle
from graphprune.cpuinfo import read_cpu
from graphprune.errors import BackendError
from graphprune.files import copy_file

FORMAT = 3


@dataclass(frozen=True)
class Description:
    """What a session knows of its model besides the code."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    target: str
    features: tuple[str, ...]
    threads: int
    embedded_bytes: int
    weights: tuple[tuple[str, int], ...] = ()
    """Element type and count of each weight that is not part of the library; the others take `embedded_bytes`."""
    kernels: tuple[KernelNote, ...] = ()

    def to_json(self) -> str:
        """The description as JSON."""
        return json.dumps(
            {
                "format": FORMAT,
                "inputs": [_to_dict(info) for info in self.inputs],
                "outputs": [_to_dict(info) for info in self.outputs],
                "target": self.target,
                "features": self.features,
                "threads": self.threads,
                "embedded_bytes": self.embedded_bytes,
                "weights": self.weights,
                "kernels": self.kernels,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Description:
        """Read what `to_json` wrote.

        Raises:
            BackendError: it is of another version.
        """
        data = json.loads(text)
        if data.get("format") != FORMAT:
            raise BackendError(f"compiled model has format {data.get('format')}, expected {FORMAT}", code="GP408")
        inputs, outputs = (tuple(_from_dict(d) for d in data[key]) for key in ("inputs", "outputs"))
        weights = tuple((dtype, count) for dtype, count in data["weights"])
        features, threads, embedded = tuple(data["features"]), data["threads"], data["embedded_bytes"]
        kernels = tuple(KernelNote(node, kernel, why, tuple(names)) for node, kernel, why, names in data["kernels"])
        return cls(inputs, outputs, data["target"], features, threads, embedded, weights, kernels)


def _to_dict(info: TensorInfo) -> dict[str, Any]:
    return {"name": info.name, "shape": info.shape, "dtype": info.dtype.name}


def _from_dict(data: dict[str, Any]) -> TensorInfo:
    return TensorInfo(data["name"], tuple(data["shape"]), np.dtype(data["dtype"]))


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
        check_feed(self._description.inputs, feed)
        if self._missing:
            raise _wrong_processor("the model", self._description.target, self._missing)
        arrays = [tvm.runtime.tensor(np.ascontiguousarray(feed[i.name]).reshape(-1)) for i in self._description.inputs]
        with self._running:
            use_threads(self._threads)
            try:
                results = self._main(*arrays, *self._weights)
            except RuntimeError as error:
                raise BackendError(str(error).strip().splitlines()[0], code="GP413") from error
        positions = {info.name: i for i, info in enumerate(self._description.outputs)}
        return [self._output(results[positions[name]], positions[name]) for name in names]

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
