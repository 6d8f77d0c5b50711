"""Building a TIR function: flat buffers in, flat buffers out, loops written in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from graphprune.backends.tvm.kernels.binding import bind, binding_scope, emit_twice, vector
from graphprune.backends.tvm.kernels.opaque import Expr

__all__ = [
    "NAME",
    "Expr",
    "Flat",
    "Kernel",
    "LaneBody",
    "LastBody",
    "Machine",
    "bind",
    "build_function",
    "constant",
    "lanes",
    "loop",
    "prefetch",
    "registers",
    "scratch",
    "select_last",
    "store",
    "unrolled_lanes",
]

LaneBody = Callable[[Expr], None]

WIDE_L1_BYTES = 48 << 10
"""L1 data cache of Intel's cores from 2019 on, and of Zen 5; cores before have 32 KiB, Zen 4 among them."""

LANES_OF_512_BITS = 16


@dataclass(frozen=True)
class Machine:
    """What a kernel is emitted for.

    Attributes:
        lanes: Elements of 4 bytes in a vector.
        registers: Vector registers.
        l1_bytes: Of the L1 data cache of one core.
        l2_bytes: Of the L2 cache of one core.
        l3_bytes: Of the L3 cache, which cores share.
        threads: That share the work of one call.
        features: Instruction sets, as Linux names them, beyond what LLVM uses by itself: a kernel that names its
            instructions says which it needs.
    """

    lanes: int
    registers: int
    l1_bytes: int
    l2_bytes: int
    l3_bytes: int
    threads: int
    features: frozenset[str]

    @property
    def has_short_vectors(self) -> bool:
        """Whether vectors have less than 512 bits."""
        return self.lanes < LANES_OF_512_BITS

    @property
    def is_dual_issue(self) -> bool:
        """Whether a core does two multiply-adds and two loads of whole vectors a cycle: of 512 bits, its L1 tells."""
        return self.has_short_vectors or self.l1_bytes >= WIDE_L1_BYTES


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

    def emit() -> Expr:
        with IRBuilder() as builder, T.prim_func(private=True):
            T.func_name(name)
            T.func_attr({"tirx.noalias": True, NAME: name})
            kernel = Kernel({a.name: T.arg(a.name, T.buffer((a.size,), a.dtype)) for a in arguments})
            with binding_scope():
                body(kernel)
        return builder.get()

    return emit_twice(emit)


@contextmanager
def loop(extent: Expr, *, parallel: bool = False) -> Iterator[Expr]:
    """A loop over `extent`; a constant extent of 1 makes no loop at all."""
    if isinstance(extent, int) and extent == 1:
        yield tirx.IntImm("int32", 0)
        return
    if parallel:
        T.evaluate(tirx.call_extern("int32", "gp_expect_steps", extent))  # TVM does not tell how many there are
        with T.parallel(extent) as index, binding_scope():
            yield index
    else:
        with T.serial(extent) as index:
            yield index


def store(buffer: Expr, index: Expr, value: Expr) -> None:
    """buffer[index] = value."""
    T.buffer_store(buffer, value, [index])


def prefetch(buffer: Expr, index: Expr, *, to_write: bool = False) -> None:
    """Prefetch the cache line of buffer[index]; the index may be outside the buffer."""
    writing, near, data = (tirx.const(value, "int32") for value in (int(to_write), 2, 1))
    T.evaluate(
        tirx.op.call_llvm_intrin("void", "llvm.prefetch", tirx.op.address_of(buffer[index]), writing, near, data)
    )


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
        with loop(full) as block, vector(width) as lane:
            body(block * width + lane)
    rest = length - full * width
    if rest == 1:
        body(tirx.IntImm("int32", full * width))
    elif rest:
        with vector(rest) as lane:
            body(full * width + lane)


def unrolled_lanes(length: int, width: int, body: LaneBody) -> None:
    """As `lanes`, with every vector written out, so that constant indices let the compiler keep it in a register."""
    for first in range(0, length, width):
        count = min(width, length - first)
        if count == 1:
            body(tirx.IntImm("int32", first))
        else:
            with vector(count) as lane:
                body(first + lane)


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
