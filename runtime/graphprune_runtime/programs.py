"""The programs of a compiled file, opened: running and timing them, whole or in pieces, in memory that is kept."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphprune_runtime.description import ProgramNote
from graphprune_runtime.file import CompiledFile, path_of
from graphprune_runtime.hosted import HostedPiece, HostedSession
from graphprune_runtime.interface import TensorInfo, check_feed
from graphprune_runtime.library import Library, Memory, Run

_KEPT = 64  # numbers of samples for which the size of the arena is remembered

Values = Mapping[str, Any]
"""Arrays by name; between hosted pieces also lists of arrays, which are sequences."""


class Programs:
    """Loaded code with its weights, arenas that no run uses, and the sessions of hosted pieces.

    Any number of threads may run them at once.
    """

    def __init__(self, compiled: CompiledFile, threads: int, *, check: bool) -> None:
        """Load the code; `check` compares the checksum of the weights too.

        Raises:
            BackendError: The file is damaged, or this machine lacks instructions or ONNX Runtime.
        """
        self._linked = compiled.description.linked
        self._threads = threads
        self._memory: list[Memory] = []
        self._library = Library(compiled.code(), path_of(compiled.file), compiled.name, check=check)
        self._arena_bytes = functools.lru_cache(_KEPT)(self._library.arena_bytes)
        self._hosted = {
            piece: HostedSession(piece, compiled.weights(piece.offset, piece.nbytes), threads)
            for piece in compiled.description.hosted
        }

    def run(self, program: ProgramNote, samples: int, feed: Values) -> dict[str, Any]:
        """Run once, on a feed that fits; the outputs by name, and for a program in pieces all values between them.

        Raises:
            BackendError: A kernel found an index out of range, or ONNX Runtime failed.
        """
        if not program.pieces:
            outputs = _new_outputs(program, samples)
            self.run_into(program, samples, feed, outputs)
            return _by_name(program, outputs)
        values = dict(feed)
        for piece in program.pieces:
            values |= self._run_piece(piece, values)
        return values | {name: feed[name].copy() for name in _names(program.outputs) & feed.keys()}

    def _run_piece(self, piece: ProgramNote | HostedPiece, values: Values) -> dict[str, Any]:
        if isinstance(piece, HostedPiece):
            return self._hosted[piece].run(values)
        return self.run(piece, piece.batch.samples or 1, _given(piece, values))

    def run_into(self, program: ProgramNote, samples: int, feed: Values, outputs: Sequence[np.ndarray]) -> None:
        """Run a program that is not in pieces once, into arrays for its outputs."""
        number = self._linked.index(program)
        memory = self._take_memory(self._arena_bytes(number, samples, self._threads))
        inputs = [np.ascontiguousarray(feed[info.name]) for info in program.inputs]
        self._library.run(Run(number, samples, inputs, outputs, memory, self._threads))
        self._memory.append(memory)

    def time(self, program: ProgramNote, samples: int, feed: Values) -> list[float]:
        """Run once; the seconds of each of the program's `calls`, the samples of a batch added up."""
        if not program.pieces:
            return self._time(program, samples, feed)[0]
        values, times = dict(feed), []
        for piece in program.pieces:
            seconds, results = self._time_piece(piece, values)
            times += seconds
            values |= results
        return times

    def _time_piece(self, piece: ProgramNote | HostedPiece, values: Values) -> tuple[list[float], dict[str, Any]]:
        if not isinstance(piece, HostedPiece):
            return self._time(piece, piece.batch.samples or 1, _given(piece, values))
        start = time.perf_counter()
        results = self._hosted[piece].run(values)
        return [time.perf_counter() - start], results

    def _time(self, program: ProgramNote, samples: int, feed: Values) -> tuple[list[float], dict[str, Any]]:
        number = self._linked.index(program)
        inputs = [np.ascontiguousarray(feed[info.name]) for info in program.inputs]
        outputs = _new_outputs(program, samples)
        memory = self._take_memory(self._arena_bytes(number, samples, self._threads))
        times = self._library.time(Run(number, samples, inputs, outputs, memory, self._threads))
        self._memory.append(memory)
        return times, _by_name(program, outputs)

    def _take_memory(self, nbytes: int) -> Memory:
        """Memory that no other run uses: that of an earlier run, or new."""
        while self._memory:
            try:
                memory = self._memory.pop()
            except IndexError:  # another thread took it
                break
            if memory.arena.nbytes >= nbytes:
                return memory
        return Memory(nbytes)


def shape_with(info: TensorInfo, samples: int) -> tuple[int, ...]:
    """The shape of an input or output with so many samples; all other extents are fixed."""
    return tuple(extent if isinstance(extent, int) else samples for extent in info.shape)


def _new_outputs(program: ProgramNote, samples: int) -> list[np.ndarray]:
    """An array for each output: two may be called the same."""
    if program.batch.samples is None:
        return [np.empty(shape_with(info, samples), info.dtype) for info in program.outputs]
    return [np.empty(info.shape, info.dtype) for info in program.outputs]  # type: ignore[arg-type] # all are fixed


def _by_name(program: ProgramNote, outputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    return {info.name: array for info, array in zip(program.outputs, outputs, strict=True)}


def _names(infos: Sequence[TensorInfo]) -> set[str]:
    return {info.name for info in infos}


def _given(piece: ProgramNote, values: Values) -> Values:
    """What a piece takes: code follows shapes unchecked, and these may come from ONNX Runtime.

    Raises:
        InputError: A value has another shape than the model says.
    """
    feed = {info.name: values[info.name] for info in piece.inputs}
    check_feed(piece.inputs, feed)
    return feed
