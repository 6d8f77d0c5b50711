"""RNN, GRU and LSTM: all steps of all directions in one kernel.

The products of all inputs are known before. A step is the product of the state, a few rows that stay near the core,
with the recurrence weight, then the cell's functions. The steps of a direction follow one another, so threads share the
directions and the sequences of a batch, or they meet at each step, and share its products.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from tvm.tirx.script import builder as T

from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Kernel,
    bind,
    build_function,
    constant,
    lanes,
    loop,
    scratch,
    store,
)
from graphprune.backends.tvm.kernels.cells import Activation, Element, Stage, reset
from graphprune.backends.tvm.kernels.recurrence_problem import RecurrenceProblem
from graphprune.backends.tvm.kernels.row_product import RowProduct, Rows

Place = Callable[[Expr], Expr]
"""From a row to where it starts in a buffer."""


def recurrence_function(name: str, problem: RecurrenceProblem) -> Expr:
    """The TIR function (x, weights..., operands..., results...).

    `x` is [step][sequence][direction][gate][hidden], `y` [step][direction][sequence][hidden]; others are as ONNX has
    them.
    """
    p = problem
    parts = p.batch // p.rows
    alike = all(functions == p.activations[0] for functions in p.activations)
    runs = [(0, p.directions)] if alike else [(d, 1) for d in range(p.directions)]

    def body(kernel: Kernel) -> None:
        for first, count in runs:
            with loop(count * parts, parallel=p.shares_sequences) as task:
                direction, row = bind(task // parts + first), bind(task % parts * p.rows)
                _Sequences.of(kernel, p, p.activations[first], direction, row).emit()

    return build_function(name, p.arguments(), body)


@dataclass(frozen=True)
class _Sequences:
    """The sequences that a thread computes in one direction, from number `first` on, and its work buffers.

    Attributes:
        states: [row][hidden], padded.
        passed: The same, of the state that a reset gate lets through; None where no product is of that.
        sums: [row][gate][hidden].
        bias: [gate][hidden], and that of the input's part of the last gate where it is apart.
    """

    kernel: Kernel
    problem: RecurrenceProblem
    activations: Sequence[Activation]
    direction: Expr
    first: Expr
    states: Sequence[Expr]
    passed: Expr | None
    sums: Expr
    bias: Expr

    @classmethod
    def of(
        cls, kernel: Kernel, p: RecurrenceProblem, activations: Sequence[Activation], direction: Expr, first: Expr
    ) -> _Sequences:
        """With work buffers of its own."""
        resets = any(stage.resets for stage in p.cell.stages)
        states = [scratch(p.rows * p.pitch, p.dtype) for _ in range(p.cell.states)]
        passed = scratch(p.rows * p.pitch, p.dtype) if resets else None
        sums, bias = scratch(p.rows * p.width, p.dtype), scratch(p.width + p.hidden, p.dtype)
        return cls(kernel, p, activations, direction, first, states, passed, sums, bias)

    def emit(self) -> None:
        """All steps."""
        p = self.problem
        self._begin()
        with loop(p.steps) as number:
            backwards = bind(self.direction + int(p.is_reverse))
            step = bind(number + backwards * (p.steps - 1 - 2 * number))
            for stage, product in zip(p.cell.stages, p.products, strict=True):
                self._multiply(stage, product, step)
            with loop(p.rows) as row:
                self._advance(row, step)
        for number, state in enumerate(self.states):
            if f"final{number}" in p.results:
                self._each(partial(self._copy, self.kernel[f"final{number}"], self._at, state, self._row))

    def _begin(self) -> None:
        """Fill the states, and add up the biases."""
        p = self.problem
        for state in (*self.states, *([] if self.passed is None else [self.passed])):
            self._lanes(p.rows * p.pitch, partial(self._clear, state))
        for number, state in enumerate(self.states):
            if f"initial{number}" in p.operands:
                self._begin_state(state, self.kernel[f"initial{number}"])
        if "bias" in p.operands:
            self._begin_bias(self.kernel["bias"])

    def _begin_state(self, state: Expr, initial: Expr) -> None:
        """Copy what is given, but for sequences without a step: ONNX Runtime has their last state zero."""
        with loop(self.problem.rows) as row:
            copy = partial(self._copy, state, self._row, initial, self._at, row)
            if "lengths" in self.problem.operands:
                with T.If(self.kernel["lengths"][self.first + row] > 0), T.Then():
                    self._lanes(self.problem.hidden, copy)
            else:
                self._lanes(self.problem.hidden, copy)

    def _begin_bias(self, bias: Expr) -> None:
        """Add the input's and the state's up, but of a last gate that is apart."""
        p = self.problem
        ours, theirs = bind(self.direction * 2 * p.width), bind((self.direction * 2 + 1) * p.width)
        shared = p.width - p.hidden * p.cell.is_apart
        self._lanes(shared, lambda i: store(self.bias, i, bias[ours + i] + bias[theirs + i]))
        if p.cell.is_apart:
            self._lanes(p.hidden, lambda i: store(self.bias, shared + i, bias[theirs + shared + i]))
            self._lanes(p.hidden, lambda i: store(self.bias, p.width + i, bias[ours + shared + i]))

    def _multiply(self, stage: Stage, product: RowProduct, step: Expr) -> None:
        """The sums of some gates."""
        p, gate = self.problem, stage.first * self.problem.hidden
        is_apart = p.cell.is_apart and stage is p.cell.stages[-1]
        state = self.states[0]
        if stage.resets:
            assert self.passed is not None
            state = self.passed
            self._each(lambda row, i: store(state, self._row(row) + i, reset(self._element(row, step, i))))

        def start(row: Expr, output: Expr) -> Expr:
            if is_apart:
                return self._biased(None, gate + output)
            return self._biased(self.kernel["x"][self._input(row, step) + gate + output], gate + output)

        def write(row: Expr, output: Expr, total: Expr) -> None:
            store(self.sums, row * p.width + gate + output, total)

        rows = Rows(state, 0, p.pitch)
        product.emit(self.kernel, self.direction, rows, start, write, parallel=p.shares_products)

    def _biased(self, value: Expr | None, place: Expr) -> Expr:
        """A value plus an element of the bias, where there is one."""
        if "bias" not in self.problem.operands:
            return constant(0.0, self.problem.dtype) if value is None else value
        return self.bias[place] if value is None else value + self.bias[place]

    def _advance(self, row: Expr, step: Expr) -> None:
        """The next states of a row, and its output: zero, and the states as they are, beyond a sequence's length."""
        if "lengths" not in self.problem.operands:
            self._lanes(self.problem.hidden, partial(self._next, row, step))
            return
        with T.If(step < self.kernel["lengths"][self.first + row]):
            with T.Then():
                self._lanes(self.problem.hidden, partial(self._next, row, step))
            with T.Else():
                zero = constant(0.0, self.problem.dtype)
                self._lanes(self.problem.hidden, lambda i: self._show(row, step, i, zero))

    def _next(self, row: Expr, step: Expr, i: Expr) -> None:
        following = [bind(value) for value in self.problem.cell.following(self._element(row, step, i))]
        for state, value in zip(self.states, following, strict=True):
            store(state, self._row(row) + i, value)
        self._show(row, step, i, following[0])

    def _show(self, row: Expr, step: Expr, i: Expr, value: Expr) -> None:
        p = self.problem
        if "y" in p.results:
            store(self.kernel["y"], step * (p.directions * p.batch * p.hidden) + self._at(row) + i, value)

    def _element(self, row: Expr, step: Expr, i: Expr) -> Element:
        p, fresh, peepholes = self.problem, None, None
        if p.cell.is_apart:
            last = p.width - p.hidden
            fresh = self._biased(self.kernel["x"][self._input(row, step) + last + i], p.width + i)
        if "peepholes" in p.operands:
            peepholes = [self.kernel["peepholes"][(self.direction * 3 + k) * p.hidden + i] for k in range(3)]
        sums = [self.sums[row * p.width + gate * p.hidden + i] for gate in range(p.cell.gates)]
        state = [bind(state[self._row(row) + i]) for state in self.states]
        return Element(sums, state, self.activations, p.clip, peepholes, fresh)

    def _input(self, row: Expr, step: Expr) -> Expr:
        """Where the input's products of a row start."""
        p = self.problem
        return ((step * p.batch + self.first + row) * p.directions + self.direction) * p.width

    def _row(self, row: Expr) -> Expr:
        """Where a row of a state starts."""
        return row * self.problem.pitch

    def _at(self, row: Expr) -> Expr:
        """Where a row starts in what is [direction][sequence][hidden]."""
        p = self.problem
        return (self.direction * p.batch + self.first + row) * p.hidden

    def _each(self, element: Callable[[Expr, Expr], None]) -> None:
        """Emit for each row and, in vectors, each element of a state."""
        with loop(self.problem.rows) as row:
            self._lanes(self.problem.hidden, partial(element, row))

    def _lanes(self, length: int, element: Callable[[Expr], None]) -> None:
        lanes(length, self.problem.products[0].lanes, element)

    def _clear(self, buffer: Expr, i: Expr) -> None:
        store(buffer, i, constant(0.0, self.problem.dtype))

    @staticmethod
    def _copy(target: Expr, to: Place, source: Expr, of: Place, row: Expr, i: Expr) -> None:
        store(target, to(row) + i, source[of(row) + i])
