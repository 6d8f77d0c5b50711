"""RNN, GRU and LSTM: step by step, one direction after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from graphprune.frontends.torch_operators import activations
from graphprune.frontends.torch_operators.values import Value, tensor

Activation = Callable[[torch.Tensor], torch.Tensor]
State = tuple[torch.Tensor, ...]

ACTIVATIONS: dict[str, Activation] = {
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Softplus": activations.TABLE["Softplus"],
    "Softsign": functional.softsign,
    "Tanh": torch.tanh,
}
"""Activations that take no parameters."""


@dataclass(frozen=True)
class _Cell:
    """The weights of one direction: `recurrence` [gates * hidden, hidden], `bias` [gates * hidden] of the state."""

    recurrence: torch.Tensor
    bias: torch.Tensor | None
    activations: Sequence[Activation]
    peepholes: Sequence[torch.Tensor] | None = None
    linear_before_reset: bool = False
    input_forget: bool = False

    def from_state(self, hidden: torch.Tensor) -> torch.Tensor:
        return functional.linear(hidden, self.recurrence, self.bias)


Step = Callable[[_Cell, torch.Tensor, State], State]
"""From the step's projected input [batch, gates * hidden] and the state to the next state."""


def _rnn_step(cell: _Cell, x: torch.Tensor, state: State) -> State:
    return (cell.activations[0](x + cell.from_state(state[0])),)


def _gru_step(cell: _Cell, x: torch.Tensor, state: State) -> State:
    """Gates in the order update, reset, candidate."""
    f, g = cell.activations
    (hidden,) = state
    from_x, from_h = x.chunk(3, -1), cell.from_state(hidden).chunk(3, -1)
    update, reset = f(from_x[0] + from_h[0]), f(from_x[1] + from_h[1])
    if cell.linear_before_reset:
        candidate = g(from_x[2] + reset * from_h[2])
    else:
        candidate = g(from_x[2] + cell.from_state(reset * hidden).chunk(3, -1)[2])
    return (candidate + update * (hidden - candidate),)


def _lstm_step(cell: _Cell, x: torch.Tensor, state: State) -> State:
    """Gates in the order input, output, forget, cell; peepholes in the order input, output, forget."""
    f, g, h = cell.activations
    hidden, memory = state
    entry, exit_, forget, fresh = (x + cell.from_state(hidden)).chunk(4, -1)
    if cell.peepholes is not None:
        entry, forget = entry + cell.peepholes[0] * memory, forget + cell.peepholes[2] * memory
    taken = f(entry)
    kept = 1 - taken if cell.input_forget else f(forget)
    following = kept * memory + taken * g(fresh)
    if cell.peepholes is not None:
        exit_ = exit_ + cell.peepholes[1] * following
    return f(exit_) * h(following), following


def _run(
    cell: _Cell, step: Step, x: torch.Tensor, state: State, lengths: torch.Tensor | None, *, backwards: bool
) -> tuple[torch.Tensor, State]:
    """All hidden states [steps, batch, hidden], and the last state of each sequence."""
    outputs: list[torch.Tensor] = []
    for t in reversed(range(x.shape[0])) if backwards else range(x.shape[0]):
        following = step(cell, x[t], state)
        shown = following[0]
        if lengths is not None:
            running = (lengths > t)[:, None]
            shown = torch.where(running, shown, torch.zeros_like(shown))
            following = tuple(torch.where(running, new, old) for new, old in zip(following, state, strict=True))
        outputs.append(shown)
        state = following
    return torch.stack(outputs[::-1] if backwards else outputs), state


def _recurrent(
    step: Step, defaults: Sequence[str], operands: Sequence[Any], attributes: dict[str, Any]
) -> tuple[torch.Tensor, ...]:
    """Project all inputs at once, then run each direction; `operands` are those of ONNX, absent ones None."""
    x, weight, recurrence, bias, lengths, *initial, peepholes = operands
    batch_first, direction = attributes.pop("layout"), attributes.pop("direction")
    chosen = list(attributes.pop("activations") or list(defaults) * weight.shape[0])
    x = x.transpose(0, 1) if batch_first else x
    hidden = recurrence.shape[-1]
    zeros = x.new_zeros(weight.shape[0], x.shape[1], hidden)
    states = [zeros if s is None else s.transpose(0, 1) if batch_first else s for s in initial]
    ends = None if lengths is None else tensor(lengths, x.device)
    sequences, finals = [], []
    for d in range(weight.shape[0]):
        from_x, from_h = (None, None) if bias is None else bias[d].chunk(2)
        peep = None if peepholes is None else peepholes[d].chunk(3)
        functions = [ACTIVATIONS[name] for name in chosen[d * len(defaults) : (d + 1) * len(defaults)]]
        cell = _Cell(recurrence[d], from_h, functions, peep, **attributes)
        begun = 1 if ends is None else (ends > 0)[:, None]  # ONNX Runtime has the last state of no steps zero
        state = tuple(s[d] * begun for s in states)
        backwards = direction == "reverse" or d == 1
        sequence, final = _run(cell, step, functional.linear(x, weight[d], from_x), state, ends, backwards=backwards)
        sequences.append(sequence)
        finals.append(final)
    shown = torch.stack(sequences, 1)
    last = [torch.stack(values) for values in zip(*finals, strict=True)]
    if batch_first:
        return shown.permute(2, 0, 1, 3), *(value.transpose(0, 1) for value in last)
    return shown, *last


def rnn(  # noqa: PLR0913 - ONNX's inputs and attributes
    x: torch.Tensor,
    w: torch.Tensor,
    r: torch.Tensor,
    b: torch.Tensor | None = None,
    lengths: Value | None = None,
    hidden: torch.Tensor | None = None,
    *,
    activations: Sequence[str] | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
) -> tuple[torch.Tensor, ...]:
    """ONNX RNN: all hidden states, and the last."""
    del hidden_size  # the weights have it
    attributes = {"activations": activations, "direction": direction, "layout": layout}
    return _recurrent(_rnn_step, ("Tanh",), (x, w, r, b, lengths, hidden, None), attributes)


def gru(  # noqa: PLR0913 - ONNX's inputs and attributes
    x: torch.Tensor,
    w: torch.Tensor,
    r: torch.Tensor,
    b: torch.Tensor | None = None,
    lengths: Value | None = None,
    hidden: torch.Tensor | None = None,
    *,
    activations: Sequence[str] | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
    linear_before_reset: int = 0,
) -> tuple[torch.Tensor, ...]:
    """ONNX GRU: all hidden states, and the last."""
    del hidden_size  # the weights have it
    attributes = {
        "activations": activations,
        "direction": direction,
        "layout": layout,
        "linear_before_reset": bool(linear_before_reset),
    }
    return _recurrent(_gru_step, ("Sigmoid", "Tanh"), (x, w, r, b, lengths, hidden, None), attributes)


def lstm(  # noqa: PLR0913, PLR0917 - ONNX's inputs and attributes
    x: torch.Tensor,
    w: torch.Tensor,
    r: torch.Tensor,
    b: torch.Tensor | None = None,
    lengths: Value | None = None,
    hidden: torch.Tensor | None = None,
    cell: torch.Tensor | None = None,
    peepholes: torch.Tensor | None = None,
    *,
    activations: Sequence[str] | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    input_forget: int = 0,
    layout: int = 0,
) -> tuple[torch.Tensor, ...]:
    """ONNX LSTM: all hidden states, the last, and the last cell."""
    del hidden_size  # the weights have it
    attributes = {
        "activations": activations,
        "direction": direction,
        "layout": layout,
        "input_forget": bool(input_forget),
    }
    operands = (x, w, r, b, lengths, hidden, cell, peepholes)
    return _recurrent(_lstm_step, ("Sigmoid", "Tanh", "Tanh"), operands, attributes)


TABLE: dict[str, Callable[..., Any]] = {"GRU": gru, "LSTM": lstm, "RNN": rnn}
