"""The kernel of all steps, against NumPy; whole layers are tested in `operators/test_recurrent.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from graphprune.backends.tvm.kernels import math
from graphprune.backends.tvm.kernels.builder import Machine
from graphprune.backends.tvm.kernels.cells import COUPLED_LSTM, GRU, LINEAR_GRU, LSTM, RNN, Cell
from graphprune.backends.tvm.kernels.recurrence import recurrence_function
from graphprune.backends.tvm.kernels.recurrence_problem import RecurrenceProblem
from graphprune.backends.tvm.kernels.row_product import DenseProduct, RowProduct
from graphprune.backends.tvm.kernels.slots import SlotProduct
from tests.backends.tvm.kernels.harness import MACHINES, V4, Array, random, run

STEPS, BATCH, DIRECTIONS, HIDDEN = 4, 3, 2, 21
FUNCTIONS = {1: (math.tanh,), 3: (math.sigmoid, math.tanh), 4: (math.sigmoid, math.tanh, math.tanh)}
"""By the number of gates."""
Step = Callable[[Array, Array, Sequence[Array], Array], tuple[Array, ...]]
"""From the input's products [batch, gates * hidden], the recurrence weight, the states and the bias to the next."""


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def parts(values: Array, gates: int) -> list[Array]:
    return np.split(values, gates, axis=-1)


def rnn(x: Array, weight: Array, states: Sequence[Array], bias: Array) -> tuple[Array, ...]:
    return (np.tanh(x + states[0] @ weight.T + bias[0] + bias[1]),)


def gru(x: Array, weight: Array, states: Sequence[Array], bias: Array) -> tuple[Array, ...]:
    ours, (h,) = parts(x + bias[0], 3), states
    update, reset, _ = map(np.add, ours, parts(h @ weight.T + bias[1], 3))
    candidate = np.tanh(ours[2] + parts((sigmoid(reset) * h) @ weight.T + bias[1], 3)[2])
    return ((1 - sigmoid(update)) * candidate + sigmoid(update) * h,)


def linear_gru(x: Array, weight: Array, states: Sequence[Array], bias: Array) -> tuple[Array, ...]:
    ours, theirs, (h,) = parts(x + bias[0], 3), parts(states[0] @ weight.T + bias[1], 3), states
    update, reset = sigmoid(ours[0] + theirs[0]), sigmoid(ours[1] + theirs[1])
    return ((1 - update) * np.tanh(ours[2] + reset * theirs[2]) + update * h,)


def lstm(x: Array, weight: Array, states: Sequence[Array], bias: Array) -> tuple[Array, ...]:
    taken, shown, kept, fresh = parts(x + states[0] @ weight.T + bias[0] + bias[1], 4)
    cell = sigmoid(kept) * states[1] + sigmoid(taken) * np.tanh(fresh)
    return sigmoid(shown) * np.tanh(cell), cell


def coupled_lstm(x: Array, weight: Array, states: Sequence[Array], bias: Array) -> tuple[Array, ...]:
    taken, shown, _, fresh = parts(x + states[0] @ weight.T + bias[0] + bias[1], 4)
    cell = (1 - sigmoid(taken)) * states[1] + sigmoid(taken) * np.tanh(fresh)
    return sigmoid(shown) * np.tanh(cell), cell


CELLS: dict[str, tuple[Cell, Step]] = {
    "RNN": (RNN, rnn),
    "GRU": (GRU, gru),
    "GRU, linear before reset": (LINEAR_GRU, linear_gru),
    "LSTM": (LSTM, lstm),
    "LSTM, coupled gates": (COUPLED_LSTM, coupled_lstm),
}


def expected(step: Step, cell: Cell, x: Array, weight: Array, bias: Array, lengths: Array, initial: Array) -> Array:
    """All outputs [step][direction][sequence][hidden]."""
    y = np.zeros((STEPS, DIRECTIONS, BATCH, HIDDEN))
    for d in range(DIRECTIONS):
        states: tuple[Array, ...] = tuple(initial[i, d].astype(np.float64) for i in range(cell.states))
        for t in reversed(range(STEPS)) if d else range(STEPS):
            following = step(x[t, :, d].astype(np.float64), weight[d], states, bias[d])
            running = (t < lengths)[:, None]
            states = tuple(np.where(running, new, old) for new, old in zip(following, states, strict=True))
            y[t, d] = np.where(running, following[0], 0)
    return y


def products(
    machine: Machine, cell: Cell, weight: Array, rows: int, *, dense: bool
) -> tuple[list[RowProduct], list[Array]]:
    """Those of the cell's stages, and the contents of their buffers."""
    found: list[RowProduct] = []
    arrays: list[Array] = []
    for number, stage in enumerate(cell.stages):
        part = weight[:, stage.first * HIDDEN : (stage.first + stage.gates) * HIDDEN]
        if dense:
            product = DenseProduct(machine, rows, HIDDEN, part.shape[1], name=f"w{number}", weights=DIRECTIONS)
            found.append(product)
            arrays += product.arranged(part)
        else:
            slots = SlotProduct.of(machine, rows, part, f"w{number}")
            found.append(slots)
            arrays += slots.arrays
    return found, arrays


@pytest.mark.parametrize("dense", [True, False], ids=["dense", "slots"])
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", CELLS)
def test_all_steps(name: str, machine: Machine, *, dense: bool) -> None:
    check(name, machine, BATCH, dense=dense)


@pytest.mark.parametrize("shares_products", [True, False])
def test_threads(*, shares_products: bool) -> None:
    check("GRU", replace(V4, threads=2), BATCH if shares_products else 1, shares_products=shares_products)


def check(name: str, machine: Machine, rows: int, *, dense: bool = True, shares_products: bool = False) -> None:
    cell, step = CELLS[name]
    width = cell.gates * HIDDEN
    x = random(STEPS * BATCH * DIRECTIONS * width, 1).reshape(STEPS, BATCH, DIRECTIONS, width)
    weight = random(DIRECTIONS * width * HIDDEN, 2).reshape(DIRECTIONS, width, HIDDEN) / np.float32(4)
    bias = random(DIRECTIONS * 2 * width, 3).reshape(DIRECTIONS, 2, width)
    initial = random(cell.states * DIRECTIONS * BATCH * HIDDEN, 4).reshape(cell.states, DIRECTIONS, BATCH, HIDDEN)
    lengths = np.array([4, 1, 3], np.int32)
    found, arrays = products(machine, cell, weight, rows, dense=dense)
    operands = {"bias", "lengths", *(f"initial{i}" for i in range(cell.states))}
    problem = RecurrenceProblem(
        cell,
        STEPS,
        BATCH,
        HIDDEN,
        [FUNCTIONS[cell.gates]] * DIRECTIONS,
        found,
        frozenset(operands),
        ["y"],
        is_reverse=False,
        clip=None,
        shares_sequences=machine.threads > 1 and not shares_products,
        shares_products=shares_products,
    )
    read = [x, *arrays, bias, lengths, *initial]
    size = STEPS * DIRECTIONS * BATCH * HIDDEN
    y = run(recurrence_function("main", problem), machine, [each.reshape(-1) for each in read], size)
    np.testing.assert_allclose(
        y, expected(step, cell, x, weight, bias, lengths, initial).reshape(-1), rtol=1e-5, atol=1e-5
    )
