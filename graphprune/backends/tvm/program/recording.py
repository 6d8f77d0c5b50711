"""What a lowering records: calls of kernels on flat buffers, and the weights among these buffers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import ir
from tvm_ffi import structural_equal, structural_hash

from graphprune.backends.tvm.kernels.builder import NAME
from graphprune.backends.tvm.kernels.elements import itemsize
from graphprune.backends.tvm.kernels.text import digest_of, text_of
from graphprune.backends.tvm.kernels.view import Handle

Array = npt.NDArray[Any]

ALIGNMENT = 64
"""Of weights in a compiled file, of values in the arena and of work buffers, in bytes: a cache line."""


@dataclass(frozen=True, eq=False)
class Buffer:
    """A flat buffer of `size` elements; where it lies is decided when all calls are known."""

    size: int
    dtype: str

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.size * itemsize(self.dtype)


@dataclass(frozen=True)
class Call:
    """One call of a kernel, by its variable: it reads `inputs` and writes all of `results`."""

    kernel: Handle
    inputs: tuple[Buffer, ...]
    results: tuple[Buffer, ...]


class Weights:
    """The constants of a compiled model, each once, in the order in which they lie in its file."""

    def __init__(self) -> None:
        self.arrays: list[Array] = []
        self._numbers: dict[tuple[str, bytes], int] = {}

    def add(self, array: Array) -> int:
        """The number of a flat array, which is kept unless an equal one is."""
        key = str(array.dtype), array.tobytes()
        if key not in self._numbers:
            self._numbers[key] = len(self.arrays)
            self.arrays.append(array)
        return self._numbers[key]

    def offsets(self) -> list[int]:
        """Where each array starts, in bytes."""
        spans = (span_of(array.nbytes) for array in self.arrays)
        return list(itertools.accumulate(spans, initial=0))[: len(self.arrays)]

    def chunks(self) -> Iterator[bytes | memoryview]:
        """The bytes of all arrays as they lie in a file."""
        for array in self.arrays:
            yield array.view(np.uint8).data
            yield bytes(span_of(array.nbytes) - array.nbytes)


class Kernels:
    """TIR functions, each under a global variable of a name; of functions of the same code there is one.

    Equal code has the same name in every model.
    """

    def __init__(self) -> None:
        self.functions: dict[Handle, Handle] = {}
        self._by_hash: dict[int, list[tuple[Handle, Handle]]] = {}
        self._by_text: dict[str, Handle] = {}

    def add(self, function: Handle) -> Handle:
        """The variable of a function, which is kept unless one of the same code is."""
        equal = self._by_hash.setdefault(structural_hash(function), [])
        for other, variable in equal:
            if structural_equal(other, function):
                return variable
        equal.append((function, self._by_code(function)))
        return equal[-1][1]

    def _by_code(self, function: Handle) -> Handle:
        text = text_of(function)
        if text not in self._by_text:
            variable = ir.GlobalVar(f"gp_{function.attrs[NAME]}_{digest_of(text)}")
            self._by_text[text], self.functions[variable] = variable, function
        return self._by_text[text]


@dataclass
class Recording:
    """The calls of one program, in order, and the buffers that it is given."""

    kernels: Kernels
    weights: Weights
    inputs: list[Buffer] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    weight_numbers: dict[Buffer, int] = field(default_factory=dict)

    def input(self, size: int, dtype: str) -> Buffer:
        """A buffer that the caller gives."""
        self.inputs.append(Buffer(size, dtype))
        return self.inputs[-1]

    def weight(self, array: Array, dtype: str) -> Buffer:
        """A buffer that holds a constant."""
        buffer = Buffer(array.size, dtype)
        self.weight_numbers[buffer] = self.weights.add(array)
        return buffer

    def call(self, function: Handle, inputs: Sequence[Buffer], results: Sequence[Buffer]) -> None:
        """Record a call of a TIR function."""
        self.calls.append(Call(self.kernels.add(function), tuple(inputs), tuple(results)))

    def is_written(self, buffer: Buffer) -> bool:
        """Whether a call writes it, and not the caller or the compiler."""
        return any(buffer in call.results for call in self.calls)


def span_of(nbytes: int) -> int:
    """So many bytes, and those up to the next buffer."""
    return nbytes + -nbytes % ALIGNMENT
