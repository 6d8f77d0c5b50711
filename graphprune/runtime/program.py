"""The program of a compiled model, ready to run: a virtual machine, and memory for its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphprune.errors import BackendError
from graphprune.runtime.machine import Handle, allocate, array_of, virtual_machine

Layout = tuple[tuple[int, ...], np.dtype[np.generic]]
"""Shape and element type of one input or output."""


class Program:
    """One virtual machine for a compiled module; it serves one caller at a time."""

    def __init__(self, module: Handle, inputs: Sequence[Layout], outputs: Sequence[Layout], weights: Handle) -> None:
        self._machine = virtual_machine(module)
        self._outputs = list(outputs)
        self._inputs = [allocate(int(np.prod(shape)), dtype) for shape, dtype in inputs]
        self._weights = weights
        self._main = self._machine["main"]

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run once; the results are the caller's.

        Raises:
            BackendError: the program found an index out of range [GP413].
        """
        for array, (_, memory) in zip(inputs, self._inputs, strict=True):
            np.copyto(memory, array.reshape(-1))
        try:
            results = self._main(*(tensor for tensor, _ in self._inputs), self._weights)
        except RuntimeError as error:
            raise BackendError(str(error).strip().splitlines()[0], code="GP413") from error
        return [array_of(results[i], dtype, shape) for i, (shape, dtype) in enumerate(self._outputs)]

    def instrument(self, note: Callable[..., None]) -> None:
        """Have `note(function, symbol, before, ...)` called before and after each function that the program calls."""
        self._machine["set_instrument"](note)
        self._main = self._machine["main"]
