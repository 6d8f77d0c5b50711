"""Code that checks itself: every read and write of a buffer is compared with the buffer's size before it happens.

A debug build, for finding out what leaves a buffer, and where. TVM's own `InstrumentBoundCheckers` sees nothing in
functions such as ours. The checks go in after loops have become vectors, so that what is checked is what the machine
accesses, and before work buffers come to share memory. Parallel loops run in order. A prefetch is not an access.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import tvm
from tvm import tirx
from tvm.ir import Call, Op, StringImm
from tvm.ir.expr import TensorLoad
from tvm_ffi import structural_mutate, structural_visit

from graphprune.backends.tvm.kernels.builder import NAME, Expr
from graphprune.backends.tvm.kernels.view import Handle

_ADDRESS, _CHOICE = Op.get("tirx.address_of"), Op.get("prim.if_then_else")


def add_checks(module: Handle, _context: Handle) -> Handle:
    """Put checks before each statement that accesses a buffer, and at the end of a loop whose condition does."""
    for variable, function in module.functions.items():
        if isinstance(function, tirx.PrimFunc):
            module.update_func(variable, function.with_body(_with_checks(function.body, _name(variable, function))))
    return module


def _name(variable: Handle, function: Handle) -> str:
    """What a kernel is called in kept measurements and profiles; the function that calls kernels has no such name."""
    return str(function.attrs[NAME]) if NAME in function.attrs else str(variable.name_hint)


def _with_checks(body: Expr, kernel: str) -> Expr:
    def statement(stmt: Expr, mutator: Handle) -> Expr:
        result = mutator.default_mutate(stmt)
        checks = [check for access in _accesses(stmt) for check in access.checks(kernel)]
        if isinstance(stmt, tirx.For) and result.kind == tirx.ForKind.PARALLEL:
            # In order, so that what is told is always the same access.
            result = tirx.For(result.loop_var, result.min, result.extent, tirx.ForKind.SERIAL, result.body)
        if isinstance(stmt, tirx.While):
            result = tirx.While(result.condition, tirx.stmt_seq(result.body, *checks))
        return tirx.stmt_seq(*checks, result)

    def sequence(stmt: Expr, mutator: Handle) -> Expr:
        """One flat sequence: what a statement binds is seen by those that follow in the same one."""
        return tirx.stmt_seq(*(part for each in stmt.seq for part in tirx.stmt_list(mutator.mutate(each))))

    return structural_mutate(body, [(tirx.SeqStmt, sequence), (tirx.Stmt, statement)])


@dataclass(frozen=True)
class _Access:
    """A read or write of a flat buffer, which happens where all of `conditions` hold."""

    verb: str
    buffer: Expr
    index: Expr
    conditions: tuple[Expr, ...] = ()

    def checks(self, kernel: str) -> list[Expr]:
        """Statements that stop the kernel where the access is outside; none where it is seen to be inside."""
        size = int(self.buffer.ty.shape[0])
        buffer = self.buffer.name or "scratch"
        access = StringImm(f"kernel '{kernel}' {self.verb} outside the {size} elements of {buffer}")
        found = []
        for index in _ends(self.index):
            outside = tvm.sym.Analyzer().simplify(tirx.any(index < 0, index >= size))
            if isinstance(outside, tirx.IntImm) and not outside.value:
                continue
            check = tirx.AssertStmt(tirx.Not(outside), StringImm("RuntimeError"), [access])
            for condition in reversed(self.conditions):
                check = tirx.IfThenElse(condition, check, None)
            found.append(check)
        return found


def _ends(index: Expr) -> list[Expr]:
    """Scalars that are inside a buffer only if all lanes of `index` are."""
    if isinstance(index, tirx.Ramp):
        return [index.base, index.base + index.stride * (index.lanes - 1)]
    if isinstance(index, tirx.Broadcast):
        return [index.value]
    lanes = index.ty.dtype.lanes
    return [index] if lanes == 1 else [tirx.Shuffle([index], [tirx.IntImm("int32", i)]) for i in range(lanes)]


def _accesses(stmt: Expr) -> list[_Access]:
    """The accesses of a statement itself, not of those inside it, in the order in which they happen."""
    collector = _Collector(stmt)
    callbacks = [(tirx.Stmt, collector.statement), (TensorLoad, collector.load), (Call, collector.call)]
    structural_visit(stmt, callbacks)
    if isinstance(stmt, tirx.BufferStore):
        collector.found.append(_Access("writes", stmt.buffer, stmt.indices[0]))
    return collector.found


@dataclass
class _Collector:
    """What is read on the way through one statement, and the conditions that hold at the place."""

    root: Expr
    found: list[_Access] = field(default_factory=list)
    conditions: tuple[Expr, ...] = ()

    def statement(self, stmt: Expr, visitor: Handle) -> None:
        if stmt.same_as(self.root):
            visitor.default_visit(stmt)

    def load(self, load: Expr, visitor: Handle) -> None:
        visitor.default_visit(load)
        self.found.append(_Access("reads", load.source, load.indices[0], self.conditions))

    def call(self, call: Expr, visitor: Handle) -> None:
        if call.op.same_as(_CHOICE):
            condition, then, otherwise = call.args
            visitor.visit(condition)
            for holds, branch in ((condition, then), (tirx.Not(condition), otherwise)):
                with self._where(holds):
                    visitor.visit(branch)
        elif not call.op.same_as(_ADDRESS):
            visitor.default_visit(call)

    @contextmanager
    def _where(self, condition: Expr) -> Iterator[None]:
        before, self.conditions = self.conditions, (*self.conditions, condition)
        try:
            yield
        finally:
            self.conditions = before
