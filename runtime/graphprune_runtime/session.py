"""A compiled model: feeding, running, timing its kernels, saving."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from graphprune_runtime.description import BatchNote, Description, KernelCall, KernelNote, LayoutNote, ProgramNote
from graphprune_runtime.errors import BackendError, InputError
from graphprune_runtime.file import CompiledFile, is_static, path_of
from graphprune_runtime.files import copy_file
from graphprune_runtime.interface import Dim, TensorInfo, check_feed, check_output_names
from graphprune_runtime.programs import Programs, shape_with


@dataclass(frozen=True)
class ModelMeta:
    """What ONNX Runtime calls the metadata of a model, under its names."""

    producer_name: str
    graph_name: str
    domain: str = ""
    description: str = ""
    graph_description: str = ""
    version: int = 0
    custom_metadata_map: Mapping[str, str] = field(default_factory=dict)


class CompiledSession:
    """A compiled model, with the call signature of `onnxruntime.InferenceSession`.

    Any number of threads may run one session at once, and a process may fork after using it.
    """

    def __init__(self, compiled: CompiledFile, threads: int, path: Path | None = None, *, check: bool = True) -> None:
        self._path = path
        self._file = compiled.file
        self._description = compiled.description
        self._only = _only_program(self._description)
        self._threads = threads
        self._programs: Programs | None = None
        self._refusal: BackendError | None = None
        try:
            self._programs = Programs(compiled, threads, check=check)
        except BackendError as error:
            if error.code != "GP419" or path is not None:
                raise
            self._refusal = error  # what was compiled for another processor can be saved

    @classmethod
    def load(cls, path: Path, threads: int, *, check: bool = True) -> CompiledSession:
        """The session of a file; see `graphprune_runtime.load_session`."""
        with contextlib.ExitStack() as stack:
            compiled = CompiledFile.read(stack.enter_context(path.open("rb")), f"'{path}'")
            described = compiled.description
            if threads > 1 and described.threads == 1 and all(p.batch.samples == 1 for p in described.programs):
                raise BackendError(
                    f"'{path}' was compiled for 1 thread, cannot run on {threads}; compile it with --threads {threads}",
                    code="GP412",
                )
            session = cls(compiled, threads, path, check=check)
            stack.pop_all()  # the session keeps the file open, to save it again
            return session

    def run(
        self,
        output_names: Sequence[str] | None = None,
        input_feed: Mapping[str, np.ndarray] | None = None,
        run_options: object = None,  # noqa: ARG002 - ONNX Runtime's signature; there is nothing to choose
    ) -> list[np.ndarray]:
        """Run once; see `graphprune_runtime.interface.Session.run`."""
        names = check_output_names(self._description.outputs, output_names)
        feed = input_feed or {}
        results = self._opened().run(*self.choose(feed), feed)
        return [results[name] for name in names]

    def run_with_buffers(self, input_feed: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> None:
        """Run once and write every output into the caller's array for it.

        Raises:
            InputError: an output is missing, has another shape or element type, is not contiguous, cannot be written,
                or shares memory with an input or another output; or ONNX Runtime runs some of the nodes.
        """
        program, samples = self.choose(input_feed)
        if program.pieces:
            raise InputError("a model that runs in part on ONNX Runtime allocates its outputs, use run", code="GP486")
        check_feed(tuple(_fixed(info, samples) for info in program.outputs), outputs)
        arrays = [outputs[info.name] for info in program.outputs]
        for number, (info, array) in enumerate(zip(program.outputs, arrays, strict=True)):
            if not (array.flags.c_contiguous and array.flags.writeable):
                raise InputError(f"output {info.name!r} must be contiguous and writeable", code="GP518")
            if any(np.may_share_memory(array, other) for other in (*input_feed.values(), *arrays[:number])):
                raise InputError(f"output {info.name!r} shares memory with an input or an output", code="GP518")
        self._opened().run_into(program, samples, input_feed, arrays)

    def _opened(self) -> Programs:
        if self._refusal is not None:
            raise self._refusal
        if self._programs is None:
            raise _closed()
        return self._programs

    def choose(self, feed: Mapping[str, np.ndarray]) -> tuple[ProgramNote, int]:
        """The program for the shapes of a feed, and how often it runs: once, or once for each sample.

        Raises:
            InputError: the feed does not fit, or there is no program for its shapes.
        """
        check_feed(self._description.inputs, feed)
        if self._only is not None:
            return self._only
        programs = self._description.programs
        program = next((each for each in programs if _takes(each, feed)), None)
        if program is None:
            raise InputError(_no_program(programs, feed), code="GP519")
        return program, _samples_of(program, feed)

    def time_kernels(
        self, feed: Mapping[str, np.ndarray], runs: int, on_run: Callable[[int], None] | None = None
    ) -> list[list[float]]:
        """Seconds of each of the program's `calls` in each of so many runs, the samples of a batch added up."""
        program, samples = self.choose(feed)
        opened, times = self._opened(), []
        for done in range(1, runs + 1):
            times.append(opened.time(program, samples, feed))
            if on_run:
                on_run(done)
        return times

    def get_inputs(self) -> list[TensorInfo]:
        """The inputs in the model's order; an open number of samples is a name or None."""
        return list(self._description.inputs)

    def get_outputs(self) -> list[TensorInfo]:
        """The outputs in the model's order."""
        return list(self._description.outputs)

    def get_modelmeta(self) -> ModelMeta:
        """Where the model came from."""
        origin = self._description.origin
        custom = {key: str(value) for key, value in origin._asdict().items()}
        return ModelMeta(producer_name=origin.tool, graph_name=origin.model, custom_metadata_map=custom)

    @property
    def description(self) -> Description:
        """All that the compiled file says of itself."""
        return self._description

    @property
    def kernels(self) -> tuple[KernelNote, ...]:
        """For each node with a weight, which kernels it could be given, which one it was given and why."""
        return self._description.programs[0].kernels

    @property
    def batch(self) -> BatchNote:
        """How a batch is run, and why so."""
        return self._description.programs[0].batch

    @property
    def layouts(self) -> tuple[LayoutNote, ...]:
        """The memory layouts of the values that are not row-major."""
        return self._description.programs[0].layouts

    @property
    def calls(self) -> tuple[KernelCall, ...]:
        """The calls of kernels that a run is made of, in order."""
        return self._description.programs[0].calls

    def save(self, path: str | PathLike[str]) -> None:
        """Write code and weights to one shared library, which `load_session` reads.

        Raises:
            ModelFileError: the file cannot be written.
            BackendError: it is to be linked statically, for which the model must be compiled again.
        """
        if is_static(path):
            message = f"'{path}': a loaded model cannot be linked statically, compile it to this file"
            raise BackendError(message, code="GP630")
        self._check_open()
        copy_file(Path(path_of(self._file)), Path(path))

    def _check_open(self) -> None:
        if self._file.closed:
            raise _closed()

    def close(self) -> None:
        """Give code, weights and arenas back, once the runs that are going on have ended; none can follow."""
        self._programs = None  # runs hold them
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        """A session is pickled as the path of its file."""
        if self._path is None:
            raise BackendError("a session is pickled by its file: save it, and load that", code="GP414")
        return CompiledSession.load, (self._path.absolute(), self._threads)


def _closed() -> BackendError:
    return BackendError("the session is closed", code="GP418")


def _only_program(description: Description) -> tuple[ProgramNote, int] | None:
    """The program that runs whatever fits the inputs, and how often it runs; None where that depends on the feed."""
    program, *others = description.programs
    samples = program.batch.samples
    return None if others or samples is None else (program, samples)


def _is_open(info: TensorInfo) -> bool:
    return bool(info.shape) and not isinstance(info.shape[0], int)


def _takes(program: ProgramNote, feed: Mapping[str, np.ndarray]) -> bool:
    """Whether the fixed extents of a program are those of the feed."""
    return all(
        given == dim
        for info in program.inputs
        for given, dim in zip(feed[info.name].shape, info.shape, strict=True)
        if isinstance(dim, int)
    )


def _no_program(programs: Sequence[ProgramNote], feed: Mapping[str, np.ndarray]) -> str:
    given = ", ".join(f"{name} {_written(array.shape)}" for name, array in feed.items())
    known = (", ".join(f"{info.name} {_written(info.shape)}" for info in each.inputs) for each in programs)
    return f"the model was not compiled for {given}, but for {'; '.join(known)}"


def _written(shape: Sequence[Dim]) -> str:
    return "x".join("?" if extent is None else str(extent) for extent in shape) or "a scalar"


def _samples_of(program: ProgramNote, feed: Mapping[str, np.ndarray]) -> int:
    if program.batch.samples is not None:
        return program.batch.samples
    counts = {info.name: len(feed[info.name]) for info in program.inputs if _is_open(info)}
    first, *others = counts
    for name in others:
        if counts[name] != counts[first]:
            message = f"input {name!r} has {counts[name]} samples, expected {counts[first]} as in {first!r}"
            raise InputError(message, code="GP515")
    return counts[first]


def _fixed(info: TensorInfo, samples: int) -> TensorInfo:
    return TensorInfo(info.name, shape_with(info, samples), info.dtype)
