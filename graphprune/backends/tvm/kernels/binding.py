"""Binding a value to a variable that TVM's simplifiers do not inline.

TVM puts the definition of a variable in place of each use, whatever its type: a chain of functions would grow
exponentially. It does not look through memory: a float is therefore stored in a small buffer, which LLVM turns back
into a register. The buffers have to stand outside the loop over a vector's lanes, so a function is emitted twice: first
to count the buffers, then with them. What is bound is rounded as it is written (see `kernels/opaque.py`).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from tvm import tirx
from tvm.ir.expr import TensorLoad
from tvm.tirx.script import builder as T

from graphprune.backends.tvm.kernels.opaque import Expr, opaque

_Key = tuple[str, int]
"""dtype and lanes of a buffer."""


@dataclass
class _Scope:
    """The body of a function or of a parallel loop: each thread that runs it has its own buffers."""

    buffers: dict[_Key, list[Expr]]
    used: Counter[_Key] = field(default_factory=Counter)
    needed: Counter[_Key] = field(default_factory=Counter)


@dataclass
class _Emission:
    """One emission of a function. `counts` are the buffers needed by its scopes, in order of opening, once known."""

    counts: list[Counter[_Key]] | None
    opened: list[_Scope] = field(default_factory=list)
    scopes: list[_Scope] = field(default_factory=list)
    vector: tuple[Expr, int] | None = None


class _ThreadEmissions(threading.local):
    """The emissions that one thread is in the middle of: models may be compiled in several threads at once."""

    def __init__(self) -> None:
        self.stack: list[_Emission] = []


_emissions = _ThreadEmissions()


def emit_twice(emit: Callable[[], Expr]) -> Expr:
    """The second result of `emit`, which builds a whole function; the first where it needs no buffers."""
    function, counts = _emitted(emit, None)
    return _emitted(emit, counts)[0] if any(counts) else function


def _emitted(emit: Callable[[], Expr], counts: list[Counter[_Key]] | None) -> tuple[Expr, list[Counter[_Key]]]:
    """The function, and the buffers that each of its scopes needs."""
    emission = _Emission(counts)
    _emissions.stack.append(emission)
    try:
        return emit(), [scope.needed for scope in emission.opened]
    finally:
        _emissions.stack.pop()


@contextmanager
def binding_scope() -> Iterator[None]:
    """The body of a function or of a parallel loop."""
    emission = _emissions.stack[-1]
    known = emission.counts[len(emission.opened)] if emission.counts is not None else Counter()
    buffers = {key: [T.alloc_buffer((key[1],), key[0]) for _ in range(count)] for key, count in known.items()}
    scope = _Scope(buffers)
    emission.opened.append(scope)
    emission.scopes.append(scope)
    try:
        yield
    finally:
        emission.scopes.pop()


@contextmanager
def vector(width: int) -> Iterator[Expr]:
    """The lanes of one vector; its variables end with it."""
    emission = _emissions.stack[-1]
    used = emission.scopes[-1].used
    for key in [key for key in used if key[1] == width]:
        del used[key]
    with nullcontext(tirx.IntImm("int32", 0)) if width == 1 else T.vectorized(width) as lane:
        emission.vector = lane, width
        try:
            yield lane
        finally:
            emission.vector = None


def bind(value: Expr) -> Expr:
    """Compute `value` once, here, and return the variable."""
    dtype = str(value.ty.dtype) if isinstance(value, tirx.Expr) else ""
    if dtype == "bfloat16":  # which TVM computes in float32, and then finds the variable to be of another type
        return bind(value.astype("float32")).astype(dtype)
    if not dtype.startswith("float") or isinstance(value, TensorLoad):
        return T.bind(value)
    value, emission = opaque(value), _emissions.stack[-1]
    lane, width = emission.vector or (tirx.IntImm("int32", 0), 1)
    scope, key = emission.scopes[-1], (dtype, width)
    number = scope.used[key]
    scope.used[key] += 1
    scope.needed[key] = max(scope.needed[key], scope.used[key])
    if emission.counts is None:
        return T.bind(value)
    buffer = scope.buffers[key][number]
    T.buffer_store(buffer, value, [lane])
    return T.bind(buffer[lane])
