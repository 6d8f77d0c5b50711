"""RNN, GRU and LSTM, and their kin, written out step by step: the length of the sequence is static."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx

from graphprune.passes.definition import Define, Definition

MOST_STEPS = 128
"""Longer sequences are refused: each step becomes nodes of its own."""

_PLAIN_ACTIVATIONS = ("Relu", "Sigmoid", "Softplus", "Softsign", "Tanh")


@dataclass
class Direction:
    """One direction of a recurrent node: its operands, with the direction's axis taken away."""

    define: Definition
    index: int
    cell: Cell
    hidden: int
    activations: tuple[str, ...]

    def operand(self, position: int) -> str | None:
        """Input `position` for this direction, or None if the node does not have it."""
        define = self.define
        if not define.has(position):
            return None
        batch_first = position in (5, 6) and define.node.attributes.get_int("layout", 0) == 1
        axis = 1 if batch_first else 0
        part = define.slice(define.inputs[position], axis, self.index, self.index + 1)
        return define("Squeeze", part, define.constant([axis]))

    def activate(self, which: int, value: str) -> str:
        """The activation function number `which` of this direction."""
        return self.define(self.activations[which], value)

    def gates(self, value: str, count: int) -> list[str]:
        """The parts of a value [batch, count * hidden] that belong to each gate."""
        return [self.define.slice(value, 1, g * self.hidden, (g + 1) * self.hidden) for g in range(count)]

    def multiply(self, value: str, position: int) -> str:
        """A value [..., n] times the weight at a position."""
        return self.cell.multiply(self, value, position)


Step = Callable[[Direction, str, tuple[str, ...]], tuple[str, ...]]
"""From the step's projected input [batch, gates * hidden] and the state to the next state."""

Multiply = Callable[[Direction, str, int], str]
"""A value [..., n] times the weight at a position, [..., gates * hidden]."""


def multiply_by_rows(direction: Direction, value: str, position: int) -> str:
    """The product with a weight [gates * hidden, n]."""
    weight = direction.operand(position)
    assert weight is not None
    return direction.define("MatMul", value, direction.define("Transpose", weight, perm=[1, 0]))


@dataclass(frozen=True)
class Cell:
    """A kind of recurrence: how many gates it has, its activations unless others are given, and what a step does."""

    gates: int
    activations: tuple[str, ...]
    step: Step
    multiply: Multiply = multiply_by_rows


def written_out(define: Definition, cell: Cell, hidden: int) -> onnx.FunctionProto | None:
    """The whole node: project all inputs at once, then run each direction.

    None where there are too many steps, a clip, or activations with parameters.
    """
    default_activations = cell.activations
    attributes = define.node.attributes
    batch_first = attributes.get_int("layout", 0) == 1
    steps, directions = define.shape()[1 if batch_first else 0], define.shape(1)[0]
    chosen = attributes.get_strings("activations", list(default_activations * directions))
    if steps * directions > MOST_STEPS or "clip" in attributes or any(a not in _PLAIN_ACTIVATIONS for a in chosen):
        return None
    x = define("Transpose", define.inputs[0], perm=[1, 0, 2]) if batch_first else define.inputs[0]
    kind, count = attributes.get_string("direction", "forward"), len(default_activations)
    sequences, finals = [], []
    for d in range(directions):
        activations = tuple(chosen[d * count : (d + 1) * count])
        direction = Direction(define, d, cell, hidden, activations)
        order = range(steps - 1, -1, -1) if kind == "reverse" or d == 1 else range(steps)
        sequence, final = _run(direction, x, order)
        sequences.append(sequence)
        finals.append(final)
    outputs = [define("Concat", *sequences, axis=1)]
    outputs += [define("Concat", *(final[i] for final in finals), axis=0) for i in range(len(finals[0]))]
    if batch_first:
        outputs = [define("Transpose", outputs[0], perm=[2, 0, 1, 3])] + [
            define("Transpose", final, perm=[1, 0, 2]) for final in outputs[1:]
        ]
    return define.finish(*outputs)


def _run(direction: Direction, x: str, order: range) -> tuple[str, list[str]]:
    """One direction: its outputs [steps, 1, batch, hidden] and its final state, each [1, batch, hidden]."""
    define, bias = direction.define, direction.operand(3)
    projected = direction.multiply(x, 1)
    if bias is not None:
        projected = define("Add", projected, define.slice(bias, 0, 0, direction.cell.gates * direction.hidden))
    state = _initial_state(direction)
    outputs: dict[int, str] = {}
    for t in order:
        now = define("Squeeze", define.slice(projected, 0, t, t + 1), define.constant([0]))
        following = direction.cell.step(direction, now, state)
        outputs[t] = following[0]
        if define.has(4):
            running = _is_running(define, t)
            outputs[t] = define("Where", running, following[0], define.like(0))
            following = tuple(define("Where", running, *pair) for pair in zip(following, state, strict=True))
        state = following
    axes = define.constant([0, 1])
    stacked = define("Concat", *(define("Unsqueeze", outputs[t], axes) for t in range(len(order))), axis=0)
    return stacked, [define("Unsqueeze", value, define.constant([0])) for value in state]


def _initial_state(direction: Direction) -> tuple[str, ...]:
    define = direction.define
    batch = define.shape()[0 if define.node.attributes.get_int("layout", 0) == 1 else 1]
    zero = define.like(np.zeros((batch, direction.hidden)))
    positions = (5, 6) if direction.cell.step is _lstm_step else (5,)
    return tuple(direction.operand(position) or zero for position in positions)


def _is_running(define: Definition, t: int) -> str:
    """Whether step `t` is inside each sequence of the batch, [batch, 1]."""
    lengths = define("Unsqueeze", define.inputs[4], define.constant([1]))
    return define("Greater", lengths, define.constant(t, define.dtype(4)))


def _hidden_part(direction: Direction, state: str) -> str:
    """The state times the recurrence weight, [batch, gates * hidden]."""
    product, bias = direction.multiply(state, 2), direction.operand(3)
    if bias is None:
        return product
    width = direction.cell.gates * direction.hidden
    return direction.define("Add", product, direction.define.slice(bias, 0, width, 2 * width))


def _rnn_step(direction: Direction, x: str, state: tuple[str, ...]) -> tuple[str, ...]:
    total = direction.define("Add", x, _hidden_part(direction, state[0]))
    return (direction.activate(0, total),)


def _gru_step(direction: Direction, x: str, state: tuple[str, ...]) -> tuple[str, ...]:
    define, (hidden,) = direction.define, state
    from_x, from_h = direction.gates(x, 3), direction.gates(_hidden_part(direction, hidden), 3)
    update = direction.activate(0, define("Add", from_x[0], from_h[0]))
    reset = direction.activate(0, define("Add", from_x[1], from_h[1]))
    if define.node.attributes.get_int("linear_before_reset", 0):
        candidate = define("Add", from_x[2], define("Mul", reset, from_h[2]))
    else:
        gated = _hidden_part(direction, define("Mul", reset, hidden))
        candidate = define("Add", from_x[2], direction.gates(gated, 3)[2])
    candidate = direction.activate(1, candidate)
    return (define("Add", candidate, define("Mul", update, define("Sub", hidden, candidate))),)


def _lstm_step(direction: Direction, x: str, state: tuple[str, ...]) -> tuple[str, ...]:
    """Gates in the order input, output, forget, cell; peepholes P in the order input, output, forget."""
    define, (hidden, cell) = direction.define, state
    gates = direction.gates(define("Add", x, _hidden_part(direction, hidden)), 4)
    peepholes = direction.operand(7)

    def peep(gate: int, value: str) -> str:
        if peepholes is None:
            return gates[gate]
        weight = define.slice(peepholes, 0, gate * direction.hidden, (gate + 1) * direction.hidden)
        return define("Add", gates[gate], define("Mul", weight, value))

    taken = direction.activate(0, peep(0, cell))
    kept = direction.activate(0, peep(2, cell))
    if define.node.attributes.get_int("input_forget", 0):
        kept = define("Sub", define.like(1), taken)
    fresh = define("Mul", taken, direction.activate(1, gates[3]))
    following = define("Add", define("Mul", kept, cell), fresh)
    shown = direction.activate(0, peep(1, following))
    return define("Mul", shown, direction.activate(2, following)), following


RNN = Cell(1, ("Tanh",), _rnn_step)
GRU = Cell(3, ("Sigmoid", "Tanh"), _gru_step)
LSTM = Cell(4, ("Sigmoid", "Tanh", "Tanh"), _lstm_step)


def _of(cell: Cell) -> Define:
    return lambda define: written_out(define, cell, define.shape(2)[2])


RECURRENT: dict[str, Define] = {"RNN": _of(RNN), "GRU": _of(GRU), "LSTM": _of(LSTM)}
