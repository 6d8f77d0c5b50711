"""Building a TIR function: flat buffers in, flat buffers out, loops written in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from tvm import tirx
from tvm.ir.expr import TensorLoad
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

Expr = Any
"""A TIR expression; TVM's Python package carries no types."""

LaneBody = Callable[[Expr], None]


@dataclass(frozen=True)
class Machine:
    """What a kernel needs to know of the chip: float32 lanes of a vector, vector registers, L1 data bytes, threads."""

    lanes: int
    registers: int
    l1_bytes: int
    threads: int


@dataclass(frozen=True)
class Flat:
    """One flat buffer argument of a kernel."""

    name: str
    size: int
    dtype: str


NAME = "graphprune.name"
"""The attribute of a TIR function that says what it computes."""


class Kernel:
    """A TIR function under construction; buffers are reached by name with `kernel["x"]`."""

    def __init__(self, buffers: dict[str, Expr]) -> None:
        self._buffers = buffers

    def __getitem__(self, name: str) -> Expr:
        return self._buffers[name]


def build_function(name: str, arguments: Sequence[Flat], body: Callable[[Kernel], None]) -> Expr:
    """A private TIR function of these flat buffers, none of which overlap, whose statements `body` emits."""
    with IRBuilder() as builder, T.prim_func(private=True):
        T.func_name(name)
        T.func_attr({"tirx.noalias": True, NAME: name})
        kernel = Kernel({a.name: T.arg(a.name, T.buffer((max(a.size, 1),), a.dtype)) for a in arguments})
        with _with_zero():
            body(kernel)
    return builder.get()


@contextmanager
def loop(extent: Expr, *, parallel: bool = False) -> Iterator[Expr]:
    """A loop over `extent`; a constant extent of 1 makes no loop at all."""
    if isinstance(extent, int) and extent == 1:
        yield tirx.IntImm("int32", 0)
        return
    if parallel:
        with T.parallel(extent) as index, _with_zero():
            yield index
    else:
        with T.serial(extent) as index:
            yield index


def store(buffer: Expr, index: Expr, value: Expr) -> None:
    """buffer[index] = value."""
    T.buffer_store(buffer, value, [index])


_zeros: list[Expr] = []
"""For each function or parallel loop under construction, a buffer whose only element is 0; only LLVM can tell."""


@contextmanager
def _with_zero() -> Iterator[None]:
    zero = T.alloc_buffer((1,), "int32", scope="global")
    store(zero, 0, constant(0, "int32"))
    _zeros.append(zero)
    try:
        yield
    finally:
        _zeros.pop()


def bind(value: Expr) -> Expr:
    """Compute `value` once, here, and return the variable.

    TVM's simplifier puts the definition of a variable in place of each use and then takes (a + b) - b for a, so that a
    chain of functions would grow exponentially and lose its roundings. It does not do so for what depends on memory:
    the bits of a float are combined with a zero from memory, which LLVM removes.
    """
    dtype = str(value.ty.dtype) if isinstance(value, tirx.Expr) else ""
    if not dtype.startswith(("float", "bfloat")) or isinstance(value, TensorLoad):
        return T.bind(value)
    integer = f"int{dtype.removeprefix('b').removeprefix('float')}"
    bits = tirx.reinterpret(integer, value) | _zeros[-1][0].astype(integer)
    return T.bind(tirx.reinterpret(dtype, bits))


class LastBody(Protocol):
    """Emits a step of a loop, told whether it is the last one."""

    def __call__(self, *, is_last: bool) -> None:
        """Emit the step."""


def select_last(index: Expr, count: int, body: LastBody) -> None:
    """Emit `body` for all steps of a loop but the last, and for the last one."""
    if count == 1:
        body(is_last=True)
        return
    with T.If(index < count - 1):
        with T.Then():
            body(is_last=False)
        with T.Else():
            body(is_last=True)


def lanes(length: int, width: int, body: LaneBody) -> None:
    """Emit body(position) for 0..length-1 in vectors of `width`, then one shorter vector for the rest."""
    full = length // width
    if full:
        with loop(full) as block, T.vectorized(width) as lane:
            body(block * width + lane)
    rest = length - full * width
    if rest == 1:
        body(tirx.IntImm("int32", full * width))
    elif rest:
        with T.vectorized(rest) as lane:
            body(full * width + lane)


def unrolled_lanes(length: int, width: int, body: LaneBody) -> None:
    """As `lanes`, with every vector written out, so that constant indices let the compiler keep it in a register."""
    for first in range(0, length, width):
        count = min(width, length - first)
        if count == 1:
            body(tirx.IntImm("int32", first))
        else:
            with T.vectorized(count) as lane:
                body(first + lane)


@dataclass(frozen=True)
class Run:
    """Elements of a buffer that lie `step` apart, from `start` on."""

    buffer: Expr
    start: Expr
    step: int = 1


def copy_run(count: int, width: int, source: Run, target: Run) -> None:
    """Copy `count` elements to neighbouring places of `target`.

    Every second element is picked out of whole vectors; other distances are left to the compiler. Nothing is read
    beyond the last element.
    """
    vectors = (count - 1) // width if source.step == 2 else 0
    if vectors:
        evens = [tirx.IntImm("int32", 2 * i) for i in range(width)]
        with loop(vectors) as block:
            first = bind(source.start + block * (2 * width))
            halves = [source.buffer[T.ramp(first + half * width, 1, width)] for half in (0, 1)]
            store(target.buffer, T.ramp(target.start + block * width, 1, width), tirx.Shuffle(halves, evens))
    done = vectors * width

    def element(i: Expr) -> None:
        store(target.buffer, target.start + done + i, source.buffer[source.start + (i + done) * source.step])

    lanes(count - done, width, element)


def scratch(size: int, dtype: str = "float32") -> Expr:
    """A work buffer of this thread, in memory."""
    return T.alloc_buffer((size,), dtype, scope="global", align=64)


def registers(size: int, dtype: str = "float32") -> Expr:
    """A work buffer that the compiler turns into registers when all indices into it are constants.

    TVM keeps it on the stack, where the compiler can do that, only in this scope and below 1024 bytes; a register tile
    takes one buffer a row.
    """
    return T.alloc_buffer((size,), dtype, scope="global")


def constant(value: float, dtype: str) -> Expr:
    """A literal of this dtype."""
    return tirx.const(value, dtype)
