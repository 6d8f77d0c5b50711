"""TVM's runtime: its virtual machine, thread pool and memory.

Reached through `tvm_ffi` alone. `import tvm` would load the compiler too, which takes ten times the memory of a model.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tvm_ffi

from graphprune.errors import BackendError

Handle = Any
"""An object of TVM, which has no types."""

CPU = 1
_POOLED_MEMORY = 2
_SHARE_ALL = -3

# Asked when a pool is made: TVM takes half of the processors otherwise, whatever the pool's size is set to.
os.environ.setdefault("TVM_NUM_THREADS", str(os.cpu_count() or 1))


@functools.cache
def load_runtime() -> ctypes.CDLL:
    """Load the runtime library out of TVM's package, once.

    Raises:
        BackendError: TVM is not installed.
    """
    found = importlib.util.find_spec("tvm")
    for folder in (found.submodule_search_locations if found else None) or ():
        for path in sorted(Path(folder).glob("lib/*tvm_runtime.*")):
            return ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
    raise BackendError("TVM's runtime library is not found: pip install apache-tvm", code="GP492")


def load_library(path: Path) -> Handle:
    """The module in a compiled library."""
    load_runtime()
    return tvm_ffi.load_module(str(path.absolute()))  # a bare name would be looked for where libraries are installed


def virtual_machine(module: Handle) -> Handle:
    """A virtual machine for a module; its functions are reached by name."""
    load_runtime()
    machine = module["vm_load_executable"]()
    machine["vm_initialization"](CPU, 0, _POOLED_MEMORY)
    return machine


def use_threads(threads: int) -> None:
    """Set the size of TVM's thread pool, of which each thread that runs models has its own.

    Its threads may run on all processors that this one may. TVM would tie each to a processor, where it can meet the
    calling thread, or the pool of another one, and wait while other processors are idle.
    """
    wanted = threads, processors()
    if wanted != _pool.configured:
        load_runtime()
        names = [str(number) for number in wanted[1]]
        tvm_ffi.get_global_func("runtime.config_threadpool")(_SHARE_ALL, threads, names)
        _pool.configured = wanted


def processors() -> tuple[int, ...]:
    """The processors that this thread, and threads that it starts, may run on."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


class _Pool(threading.local):
    """The threads and processors of this thread's pool; None while it has none."""

    configured: tuple[int, tuple[int, ...]] | None = None


_pool = _Pool()


def allocate(count: int, dtype: np.dtype[Any]) -> tuple[Handle, np.ndarray]:
    """A flat tensor of the runtime, and the same memory as an array; it lives as long as the tensor."""
    load_runtime()
    name = "bool" if dtype == np.bool_ else dtype.name
    create = tvm_ffi.get_global_func("runtime.TVMTensorAllocWithScope")
    tensor = create(tvm_ffi.Shape((count,)), tvm_ffi.dtype(name), tvm_ffi.device("cpu", 0), None)
    return tensor, memory_of(tensor, count, dtype)


def memory_of(tensor: Handle, count: int, dtype: np.dtype[Any]) -> np.ndarray:
    """The memory of a tensor, whose element type NumPy's protocols need not know."""
    if not count:
        return np.empty(0, dtype)
    data = (ctypes.c_uint8 * (count * dtype.itemsize)).from_address(tensor.data_ptr())
    return np.ctypeslib.as_array(data).view(dtype)


def array_of(tensor: Handle, dtype: np.dtype[Any], shape: Sequence[int]) -> np.ndarray:
    """A result as an array, which keeps the tensor alive where NumPy can share its element type, else a copy."""
    if dtype.isbuiltin == 1:
        shared: np.ndarray = np.from_dlpack(tensor)
        return shared.reshape(shape)
    return memory_of(tensor, int(np.prod(shape)), dtype).reshape(shape).copy()


Instrument = Callable[..., None]


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Drop what TVM's C++ side prints on standard error inside the block: notices that mean nothing to users."""
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as null:
            os.dup2(null.fileno(), 2)
            yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
