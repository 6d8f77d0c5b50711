"""Dense blocks times planes: convolutions and matrix products against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.backends.tvm.kernels.builder import Expr, Flat, Kernel, Machine
from graphprune.backends.tvm.kernels.dense import dense_blocks, dense_function, register_tile, tap_table
from graphprune.backends.tvm.kernels.dot import PAIRS, QUADS
from graphprune.backends.tvm.kernels.elements import FLOAT32, Elements
from graphprune.backends.tvm.kernels.epilogue import Epilogue, Position, no_epilogue
from graphprune.backends.tvm.kernels.problem import PlaneProblem, Planes, channel_distance
from graphprune.backends.tvm.kernels.tiling import tile_positions
from graphprune.backends.tvm.kernels.view import View
from tests.backends.tvm.kernels.convolution import WINDOWS, convolve, padded, shown
from tests.backends.tvm.kernels.harness import MACHINES, V3, V4, Array, random, run

NO_TAPS = np.zeros(1, np.int32)


def multiply(
    p: PlaneProblem,
    weight: Array,
    x: Array,
    taps: Array = NO_TAPS,
    groups: int = 1,
    epilogue: Epilogue = no_epilogue,
    extra: tuple[Array, ...] = (),
) -> Array:
    """The kernel's output [image, output, position]."""
    rows, vectors = register_tile(p.machine, p.tiling.span, weight.shape[0] // groups)
    blocks, values = dense_blocks(weight, groups, rows, vectors)
    distance = channel_distance(p)
    operands = [Flat(f"operand{i}", array.size, "float32") for i, array in enumerate(extra)]
    function = dense_function("main", p, blocks, distance, operands, epilogue)
    table = tap_table(weight.shape[1], taps, distance)
    y = run(function, p.machine, [x, values, table, *extra], p.images * p.outputs * p.positions)
    return y.reshape(p.images, p.outputs, p.positions)


def convolution(machine: Machine, name: str, outputs: int, groups: int) -> None:
    view = View.dense(None, "float32", (2, 4, 13, 18))
    flat = random(view.size)
    taps = WINDOWS[name].kernel[0] * WINDOWS[name].kernel[1]
    weight: Array = random(outputs * 4 // groups * taps, 1).reshape(outputs, 4 // groups, taps)
    p = padded(machine, view, flat, WINDOWS[name], outputs)
    y = multiply(p.problem, weight, p.values, p.layout.tap_offsets(), groups)
    expected = convolve(shown(view, flat), weight, WINDOWS[name], groups)
    np.testing.assert_allclose(y.reshape(expected.shape), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", WINDOWS)
def test_windows(machine: Machine, name: str) -> None:
    convolution(machine, name, 10, 1)


@pytest.mark.parametrize(("outputs", "groups"), [(1, 1), (8, 2), (30, 2), (4, 4), (12, 4)])
def test_groups(outputs: int, groups: int) -> None:
    convolution(V3, "3x3", outputs, groups)


def product(machine: Machine, inputs: int, outputs: int, positions: int, *, copy: bool, token_major: bool) -> None:
    strides = (1, inputs) if token_major else (positions, 1)
    slack = 8 * machine.lanes
    x = random(inputs * positions + slack, 1)
    planes = Planes(x.size, inputs, 0, strides[0], strides[1])
    p = PlaneProblem(
        machine, 1, outputs, positions, planes, tile_positions(positions, machine.lanes, 4), copy_tile=copy
    )
    weight: Array = random(outputs * inputs, 2).reshape(outputs, inputs, 1)
    used = x[: inputs * positions]
    expected = weight[:, :, 0] @ (used.reshape(positions, inputs).T if token_major else used.reshape(inputs, positions))
    np.testing.assert_allclose(multiply(p, weight, x)[0], expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("inputs", "outputs", "positions"), [(1, 1, 1), (7, 5, 3), (20, 33, 64), (9, 50, 197)])
def test_products(machine: Machine, inputs: int, outputs: int, positions: int) -> None:
    product(machine, inputs, outputs, positions, copy=False, token_major=False)
    product(machine, inputs, outputs, positions, copy=True, token_major=False)
    product(machine, inputs, outputs, positions, copy=True, token_major=True)


def test_epilogue_knows_its_place() -> None:
    view = View.dense(None, "float32", (2, 4, 13, 18))
    flat, weight = random(view.size), random(7 * 4 * 9, 1).reshape(7, 4, 9)
    p = padded(V3, view, flat, WINDOWS["3x3"], 7)
    expected = convolve(shown(view, flat), weight, WINDOWS["3x3"])
    residual = random(expected.size, 2)

    def add(kernel: Kernel, value: Expr, position: Position) -> Expr:
        image, channel, place = position
        return value + kernel["operand0"][(image * 7 + channel) * 234 + place]

    y = multiply(p.problem, weight, p.values, p.layout.tap_offsets(), epilogue=add, extra=(residual,))
    np.testing.assert_allclose(y.ravel(), expected.ravel() + residual, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("machine", [V4, V3])
@pytest.mark.parametrize("span", [1, 16, 49, 64, 112])
@pytest.mark.parametrize("outputs", [1, 5, 64])
@pytest.mark.parametrize(("elements", "others"), [(FLOAT32, 1), (QUADS, 1), (PAIRS, 2)])
def test_register_tile_fits_the_registers(
    machine: Machine, span: int, outputs: int, elements: Elements, others: int
) -> None:
    """Beside sums and inputs there are a weight and, where they are added one by one, a product."""
    rows, vectors = register_tile(machine, span, outputs, elements)
    assert 1 <= rows <= outputs
    assert rows * vectors + vectors + others <= machine.registers


def test_blocks_are_padded_with_zero_rows() -> None:
    blocks, values = dense_blocks(random(10 * 6).reshape(10, 3, 2), 2, 4, 1)
    assert values.shape == (2, 2, 6, 4)
    assert not values[:, 1, :, 1:].any()
    assert blocks.blocks == 2


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 150), st.booleans())
@settings(max_examples=15, deadline=None)
def test_any_product(inputs: int, outputs: int, positions: int, token_major: bool) -> None:  # noqa: FBT001
    product(V3, inputs, outputs, positions, copy=True, token_major=token_major)
