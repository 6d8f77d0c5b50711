"""LSTM of integer weights, each product quantized when it is known: written out step by step.

A step's product is of a state that is quantized as a whole, so each step is nodes of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx

from graphprune.passes.definition import Definition

MOST_STEPS = 128
"""Longer sequences are refused: each step becomes nodes of its own."""

_PLAIN_ACTIVATIONS = ("Relu", "Sigmoid", "Softplus", "Softsign", "Tanh")
_DEFAULTS = ("Sigmoid", "Tanh", "Tanh")
_GATES = 4

State = tuple[str, str]
"""Hidden and cell, each [batch, hidden]."""

Multiply = Callable[["Direction", str, int], str]
"""A value [..., n] times the weight at a position, [..., gates * hidden]."""


@dataclass
class Direction:
    """One direction of the node: its operands, with the direction's axis taken away."""

    define: Definition
    index: int
    multiply: Multiply
    hidden: int
    activations: tuple[str, ...]

    def operand(self, position: int) -> str | None:
        """Input `position` for this direction, or None if the node does not have it."""
        define = self.define
        if not define.has(position):
            return None
        part = define.slice(define.inputs[position], 0, self.index, self.index + 1)
        return define("Squeeze", part, define.constant([0]))

    def activate(self, which: int, value: str) -> str:
        """The activation function number `which` of this direction."""
        return self.define(self.activations[which], value)

    def part(self, value: str, axis: int, gate: int) -> str:
        """The part of a value that belongs to a gate."""
        return self.define.slice(value, axis, gate * self.hidden, (gate + 1) * self.hidden)


def written_out(define: Definition, multiply: Multiply, hidden: int) -> onnx.FunctionProto | None:
    """The whole node: project all inputs at once, then run each direction.

    None where there are too many steps, or activations with parameters.
    """
    attributes, steps, directions = define.node.attributes, define.shape()[0], define.shape(1)[0]
    chosen = attributes.get_strings("activations", list(_DEFAULTS * directions))
    if steps * directions > MOST_STEPS or any(name not in _PLAIN_ACTIVATIONS for name in chosen):
        return None
    kind, count = attributes.get_string("direction", "forward"), len(_DEFAULTS)
    sequences, finals = [], []
    for d in range(directions):
        direction = Direction(define, d, multiply, hidden, tuple(chosen[d * count : (d + 1) * count]))
        order = range(steps - 1, -1, -1) if kind == "reverse" or d == 1 else range(steps)
        sequence, final = _run(direction, order)
        sequences.append(sequence)
        finals.append(final)
    outputs = [define("Concat", *sequences, axis=1)]
    outputs += [define("Concat", *(final[i] for final in finals), axis=0) for i in range(len(finals[0]))]
    return define.finish(*outputs)


def _run(direction: Direction, order: range) -> tuple[str, list[str]]:
    """One direction: its outputs [steps, 1, batch, hidden] and its final state, each [1, batch, hidden]."""
    define, bias = direction.define, direction.operand(3)
    projected = direction.multiply(direction, define.inputs[0], 1)
    if bias is not None:
        projected = define("Add", projected, define.slice(bias, 0, 0, _GATES * direction.hidden))
    zero = define.like(np.zeros((define.shape()[1], direction.hidden)))
    state = direction.operand(5) or zero, direction.operand(6) or zero
    outputs: dict[int, str] = {}
    for t in order:
        now = define("Squeeze", define.slice(projected, 0, t, t + 1), define.constant([0]))
        state = _step(direction, now, state)
        outputs[t] = state[0]
    axes = define.constant([0, 1])
    stacked = define("Concat", *(define("Unsqueeze", outputs[t], axes) for t in range(len(order))), axis=0)
    return stacked, [define("Unsqueeze", value, define.constant([0])) for value in state]


def _hidden_part(direction: Direction, state: str) -> str:
    """The state times the recurrence weight, [batch, gates * hidden]."""
    product, bias = direction.multiply(direction, state, 2), direction.operand(3)
    if bias is None:
        return product
    width = _GATES * direction.hidden
    return direction.define("Add", product, direction.define.slice(bias, 0, width, 2 * width))


def _step(direction: Direction, x: str, state: State) -> State:
    """Gates in the order input, output, forget, cell; peepholes P in the order input, output, forget."""
    define, (hidden, cell) = direction.define, state
    total = define("Add", x, _hidden_part(direction, hidden))
    gates = [direction.part(total, 1, gate) for gate in range(_GATES)]
    peepholes = direction.operand(7)

    def peep(gate: int, value: str) -> str:
        if peepholes is None:
            return gates[gate]
        return define("Add", gates[gate], define("Mul", direction.part(peepholes, 0, gate), value))

    taken = direction.activate(0, peep(0, cell))
    kept = direction.activate(0, peep(2, cell))
    if define.node.attributes.get_int("input_forget", 0):
        kept = define("Sub", define.like(1), taken)
    fresh = define("Mul", taken, direction.activate(1, gates[3]))
    following = define("Add", define("Mul", kept, cell), fresh)
    shown = direction.activate(0, peep(1, following))
    return define("Mul", shown, direction.activate(2, following)), following
