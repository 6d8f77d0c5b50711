"""The C interface of compiled code, through ctypes: `graphprune.h` in Python.

Code is loaded from memory of its own, never by the path of its file: the system would take the library that it loaded
from that path before, whatever lies there now, and a file that is overwritten would take the code away from below.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from graphprune_runtime.errors import BackendError

_ERROR_BYTES = 2048

_system = ctypes.CDLL(None)
_system.dlclose.argtypes = [ctypes.c_void_p]


class Memory:
    """What a run works in: the arena, where kernels leave values, and room for an error. Made once, for many runs."""

    def __init__(self, nbytes: int) -> None:
        # Kernels compute on lanes that nobody reads too; where memory holds denormals, that takes many times as long.
        self.arena = np.zeros(nbytes, np.uint8)
        self.address = address(self.arena)
        self.error = ctypes.create_string_buffer(_ERROR_BYTES)


class Run(NamedTuple):
    """What a run is called with; all arrays are row-major.

    Attributes:
        program: The number of the program.
        samples: How many samples there are, where that is open.
        inputs: Of the program, in order.
        outputs: That it writes.
        memory: That no other run uses meanwhile.
        threads: That work at most.
    """

    program: int
    samples: int
    inputs: Sequence[np.ndarray]
    outputs: Sequence[np.ndarray]
    memory: Memory
    threads: int

    def arguments(self) -> tuple[object, ...]:
        """What the C functions take after the model."""
        buffers = _addresses(self.inputs), _addresses(self.outputs), self.memory.address
        return self.program, self.samples, *buffers, self.threads


class Library:
    """Loaded code, and the model in it, opened."""

    def __init__(self, code: bytes, weights: str, name: str, *, check: bool) -> None:
        """Load `code`, and map the weights at the end of the file at the path `weights`.

        Raises:
            BackendError: the code or the weights are damaged, or this processor lacks instructions; says `name`.
        """
        self._code = _Code(code, name)
        self._functions = functions = self._code.functions
        error = ctypes.create_string_buffer(_ERROR_BYTES)
        self._model = functions.gp_open_pieces(os.fsencode(weights), int(check), error, _ERROR_BYTES)
        if not self._model:
            self._code.close()
            raise _error_of(error, name, weights)
        self.close = weakref.finalize(self, _close, functions, self._model, self._code)
        self.close.atexit = False  # other threads may still run it then
        _share_pool(self._code)

    def arena_bytes(self, program: int, samples: int, threads: int) -> int:
        """Bytes that a run needs between its kernels."""
        found: int = self._functions.gp_arena_bytes(self._model, program, samples, threads)
        return found

    def run(self, run: Run) -> None:
        """Run once.

        Raises:
            BackendError: a kernel found an index out of range [GP413].
        """
        if self._functions.gp_run(self._model, *run.arguments(), run.memory.error, _ERROR_BYTES):
            raise _error_of(run.memory.error, "")

    def time(self, run: Run) -> list[float]:
        """As `run`, kernel after kernel: the seconds of each."""
        seconds = np.empty(self._functions.gp_kernels(self._model, run.program))
        if self._functions.gp_time(self._model, *run.arguments(), address(seconds), run.memory.error, _ERROR_BYTES):
            raise _error_of(run.memory.error, "")
        times: list[float] = seconds.tolist()
        return times


class _Code:
    """A shared library, loaded from an anonymous file."""

    def __init__(self, code: bytes, name: str) -> None:
        # The system knows libraries by their names: this one is not given to another file before it is unloaded.
        self._file = os.memfd_create("graphprune", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(self._file), "wb") as file:
                file.write(code)
            self.functions = ctypes.CDLL(f"/proc/self/fd/{self._file}")
        except OSError as error:
            os.close(self._file)
            raise BackendError(f"{name} cannot be loaded: {error}", code="GP409") from error
        _declare(self.functions)

    def close(self) -> None:
        """Unload it."""
        _system.dlclose(self.functions._handle)  # noqa: SLF001 - ctypes has no other way to unload a library
        os.close(self._file)


def _close(functions: ctypes.CDLL, model: int, code: _Code) -> None:
    functions.gp_close(model)
    if code is not _pool.host:
        code.close()


class _Pool:
    """The threads of the process: those of the first library, which therefore stays loaded."""

    lock = threading.Lock()
    host: _Code | None = None


_pool = _Pool()


def _share_pool(code: _Code) -> None:
    with _pool.lock:
        if _pool.host is None:
            _pool.host = code
        else:
            code.functions.gp_set_pool(_pool.host.functions.gp_get_pool())


def _declare(library: ctypes.CDLL) -> None:
    pointer, size, integer = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    error = [ctypes.c_char_p, size]
    run = [pointer, size, ctypes.c_int64, pointer, pointer, pointer, integer]
    signatures = {
        "gp_open_pieces": (pointer, [ctypes.c_char_p, integer, *error]),
        "gp_close": (None, [pointer]),
        "gp_arena_bytes": (size, [pointer, size, ctypes.c_int64, integer]),
        "gp_kernels": (size, [pointer, size]),
        "gp_run": (integer, [*run, *error]),
        "gp_time": (integer, [*run, pointer, *error]),
        "gp_get_pool": (pointer, []),
        "gp_set_pool": (integer, [pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments


def address(array: np.ndarray) -> int:
    """Where the elements of an array start."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type] # an array is a buffer
    except (TypeError, ValueError):  # it cannot be written, is empty, or its elements are none of Python's: slower
        found: int = array.__array_interface__["data"][0]
        return found


def _addresses(arrays: Sequence[np.ndarray]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(arrays))(*map(address, arrays))


def _error_of(error: ctypes.Array[ctypes.c_char], subject: str, weights: str = "") -> BackendError:
    """The error that the C side wrote as `GPxxx: message`; it knows the file as `weights`."""
    code, _, message = error.value.decode(errors="replace").partition(": ")
    if weights and f"'{weights}'" in message:
        message = message.replace(f"'{weights}'", subject)
    elif subject:
        message = f"{subject}: {message}"
    return BackendError(message, code=code)
