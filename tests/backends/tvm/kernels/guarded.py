"""Memory that ends where a page without access begins: a kernel that reads or writes on ends the process.

TVM's buffers start on 64 bytes, so up to 63 bytes lie between the last element and that page. They, and all before the
first element, hold a mark that must still be there afterwards: around an input it is NaN, which shows in every output
that is computed from it.
"""

from __future__ import annotations

import ctypes
import mmap

import numpy as np
import tvm

from graphprune.backends.tvm.kernels.builder import Expr

ALIGNMENT = 64
NAN = 0xFF
"""Every byte around the elements of an input; NaN as any float, -1 as any signed integer."""

CANARY = 0xA5
"""Every byte around the elements of an output; nothing that a kernel could copy from beside an input."""

_libc = ctypes.CDLL(None, use_errno=True)


class Guarded:
    """A copy of `values`, flat, in such memory."""

    def __init__(self, values: np.ndarray, margin: int = NAN) -> None:
        flat = np.ascontiguousarray(values).reshape(-1)
        self._given = flat.tobytes()
        room = -(-max(flat.nbytes, 1) // ALIGNMENT) * ALIGNMENT
        size = -(-room // mmap.PAGESIZE) * mmap.PAGESIZE
        self._memory = np.frombuffer(mmap.mmap(-1, size + mmap.PAGESIZE), np.uint8)
        if _libc.mprotect(ctypes.c_void_p(self._memory.ctypes.data + size), mmap.PAGESIZE, 0):
            raise OSError(ctypes.get_errno(), "mprotect failed")
        self._memory[:size] = self._margin = margin
        self._around = self._memory[: size - room], self._memory[size - room + flat.nbytes : size]
        self.values: np.ndarray = self._memory[size - room :][: flat.nbytes].view(flat.dtype)
        self.values[:] = flat

    def tensor(self) -> Expr:
        """A TVM tensor of this memory."""
        return tvm.runtime.from_dlpack(self.values)

    def assert_only_elements_changed(self) -> None:
        """Nothing was written outside the elements."""
        for margin in self._around:
            assert (margin == self._margin).all(), "written outside the buffer"

    def assert_unchanged(self) -> None:
        """Nothing was written at all."""
        self.assert_only_elements_changed()
        assert self.values.tobytes() == self._given, "an input was written"
