"""What a step of RNN, GRU and LSTM does with an element of the state, once the products are known.

The formulas and the orders of gates are those of ONNX's operators of these names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tvm import tirx

from graphprune.backends.tvm.kernels.builder import Expr, bind, constant
from graphprune.backends.tvm.kernels.math import dtype_of

Activation = Callable[[Expr], Expr]


@dataclass(frozen=True)
class Element:
    """One element of a row of the state, and what its next value is made of.

    Attributes:
        sums: Of each gate: what products of the input and of the state add up to, and biases.
        state: The element of each state.
        activations: The node's functions.
        clip: The largest magnitude of what goes into the activation of a gate, or None.
        peepholes: Of input, output and forget gate, or None.
        fresh: Where the last gate's sum is of the state alone: the input's product, and its bias.
    """

    sums: Sequence[Expr]
    state: Sequence[Expr]
    activations: Sequence[Activation]
    clip: float | None = None
    peepholes: Sequence[Expr] | None = None
    fresh: Expr | None = None

    def gate(self, which: int, value: Expr) -> Expr:
        """Activation number `which` of what goes into a gate."""
        value = bind(value)
        if self.clip is not None:
            most = constant(self.clip, dtype_of(value))
            below = bind(tirx.Select(value > most, most, value))
            value = bind(tirx.Select(below < -most, -most, below))
        return bind(self.activations[which](value))

    def peep(self, gate: int, value: Expr) -> Expr:
        """What goes into a gate that looks at the cell's `value` too."""
        return self.sums[gate] if self.peepholes is None else self.sums[gate] + self.peepholes[gate] * value


@dataclass(frozen=True)
class Stage:
    """A product of a step: `gates` gates from `first` on, of the state, or of the state that is `reset` before."""

    first: int
    gates: int
    resets: bool = False


@dataclass(frozen=True)
class Cell:
    """A kind of recurrence.

    Attributes:
        gates: How many there are.
        states: How many values are carried from step to step; the first one is the output.
        following: The next value of each state.
        stages: The products of a step, in order.
        is_apart: Whether the last gate's sum is of the state alone.
    """

    gates: int
    states: int
    following: Callable[[Element], tuple[Expr, ...]]
    stages: tuple[Stage, ...]
    is_apart: bool = False


def reset(element: Element) -> Expr:
    """The state, as far as a GRU's reset gate lets it through."""
    return element.gate(0, element.sums[1]) * element.state[0]


def _rnn(element: Element) -> tuple[Expr, ...]:
    return (element.gate(0, element.sums[0]),)


def _gru(element: Element) -> tuple[Expr, ...]:
    """Gates in the order update, reset, candidate."""
    candidate = element.sums[2]
    if element.fresh is not None:
        candidate = element.fresh + element.gate(0, element.sums[1]) * candidate
    candidate, update = element.gate(1, candidate), element.gate(0, element.sums[0])
    return (candidate + update * bind(element.state[0] - candidate),)


def _lstm(element: Element) -> tuple[Expr, ...]:
    """Gates in the order input, output, forget, cell."""
    taken, kept = (element.gate(0, element.peep(gate, element.state[1])) for gate in (0, 2))
    return _lstm_output(element, taken, kept)


def _coupled_lstm(element: Element) -> tuple[Expr, ...]:
    """It forgets as much as it takes in."""
    taken = element.gate(0, element.peep(0, element.state[1]))
    return _lstm_output(element, taken, constant(1.0, dtype_of(taken)) - taken)


def _lstm_output(element: Element, taken: Expr, kept: Expr) -> tuple[Expr, ...]:
    cell = bind(kept * element.state[1] + taken * element.gate(1, element.sums[3]))
    shown = element.gate(0, element.peep(1, cell))
    return shown * element.activations[2](cell), cell


RNN = Cell(1, 1, _rnn, (Stage(0, 1),))
GRU = Cell(3, 1, _gru, (Stage(0, 2), Stage(2, 1, resets=True)))
LINEAR_GRU = Cell(3, 1, _gru, (Stage(0, 2), Stage(2, 1)), is_apart=True)
LSTM = Cell(4, 2, _lstm, (Stage(0, 4),))
COUPLED_LSTM = Cell(4, 2, _coupled_lstm, (Stage(0, 4),))
