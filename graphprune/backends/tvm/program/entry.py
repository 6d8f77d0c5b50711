"""The one function of a program: it calls the kernels in order, on buffers whose places are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tvm import ir, tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from graphprune.backends.tvm.kernels.builder import NAME, Expr
from graphprune.backends.tvm.kernels.view import Handle
from graphprune.backends.tvm.program.arena import Arena, plan_arena
from graphprune.backends.tvm.program.recording import Buffer, Call, Recording

INT32 = ir.PrimType("int32")

_MEMORY = {"inputs": "uint64", "outputs": "uint64", "weights": "uint8", "arena": "uint8"}
"""The arguments that are memory, and what their elements are."""

MOST_STEPS = 32
"""Of one function: LLVM's time grows faster than what it compiles."""

_LARGEST = tirx.IntImm("int64", 1 << 40)
"""Elements of an argument whose size is not known."""


@dataclass(frozen=True)
class Entry:
    """The TIR function (inputs, outputs, weights, arena, first, last), and the bytes of its arena.

    `inputs` and `outputs` are arrays of addresses; the kernels `first` to `last - 1` are called, until one fails.
    """

    function: Handle
    arena_bytes: int


def make_entry(recording: Recording, outputs: Sequence[Buffer]) -> Entry:
    """Plan the arena and emit the function; `outputs` are results of calls, each its own."""
    arena = plan_arena(recording.calls, set(outputs))
    numbers = {buffer: number for number, buffer in enumerate(outputs)}
    places = _Places(recording, numbers, recording.weights.offsets(), arena)
    steps = [_kernel_call(places, number, call) for number, call in enumerate(recording.calls)]
    while len(steps) > MOST_STEPS:
        parts = [_emit(steps[start : start + MOST_STEPS]) for start in range(0, len(steps), MOST_STEPS)]
        steps = [_part_call(recording.kernels.add(part.with_attr(NAME, "calls"))) for part in parts]
    return Entry(_emit(steps), arena.nbytes)


@dataclass(frozen=True)
class _Places:
    """Where each buffer of a program lies."""

    recording: Recording
    outputs: Mapping[Buffer, int]
    weight_offsets: Sequence[int]
    arena: Arena

    def address(self, buffer: Buffer, given: Mapping[str, Expr]) -> Expr:
        """The address of a buffer, from the arguments of the function."""
        if buffer in self.outputs:
            return _pointer(given["outputs"], self.outputs[buffer])
        if buffer in self.recording.weight_numbers:
            return _inside(given["weights"], self.weight_offsets[self.recording.weight_numbers[buffer]])
        if buffer in self.arena.offsets:
            return _inside(given["arena"], self.arena.offsets[buffer])
        return _pointer(given["inputs"], self.recording.inputs.index(buffer))


def _pointer(addresses: Expr, number: int) -> Expr:
    return tirx.op.reinterpret("handle", addresses[number])


def _inside(buffer: Expr, offset: int) -> Expr:
    return tirx.op.address_of(buffer[tirx.IntImm("int64", offset)])


Step = Callable[[Mapping[str, Expr], Expr], None]
"""Emits one step of a function: a call of a kernel, or of a function that calls some of them."""


def _kernel_call(places: _Places, number: int, call: Call) -> Step:
    def emit(given: Mapping[str, Expr], status: Expr) -> None:
        arguments = [places.address(buffer, given) for buffer in (*call.inputs, *call.results)]
        with T.If(tirx.all(given["first"] <= number, number < given["last"])), T.Then():
            _call(call.kernel, arguments, status)

    return emit


def _part_call(part: Handle) -> Step:
    def emit(given: Mapping[str, Expr], status: Expr) -> None:
        memory = [_inside(given[name], 0) for name in _MEMORY]
        _call(part, [*memory, given["first"], given["last"]], status)

    return emit


def _call(function: Handle, arguments: Sequence[Expr], status: Expr) -> None:
    """Call by name: the function may be in another module."""
    T.buffer_store(status, tirx.call_extern("int32", function.name_hint, *arguments), [0])
    with T.Assert(status[0] == 0, "a kernel failed"):  # it has said why, and this function returns
        pass


def _emit(steps: Sequence[Step]) -> Handle:
    with IRBuilder() as builder, T.prim_func():
        T.func_name("main")
        T.func_ret(INT32)
        pointers = {name: T.arg(name, T.handle(dtype)) for name, dtype in _MEMORY.items()}
        numbers = {name: T.arg(name, T.int32()) for name in ("first", "last")}
        memory = {name: T.decl_buffer((_LARGEST,), _MEMORY[name], data=pointers[name]) for name in _MEMORY}
        status = T.alloc_buffer((1,), "int32")
        for step in steps:
            step({**memory, **numbers}, status)
    return builder.get()
