"""Products of two activation views against NumPy in float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.backends.tvm.kernels.builder import Expr, Flat, Kernel, Machine
from graphprune.backends.tvm.kernels.epilogue import Position
from graphprune.backends.tvm.kernels.matmul import matmul_function
from graphprune.backends.tvm.kernels.view import View
from tests.backends.tvm.kernels.harness import MACHINES, V3, Array, array_of, random, run


def dense(shape: Sequence[int], order: Sequence[int] | None = None) -> View:
    return View.dense(None, "float32", shape, order)


def check(machine: Machine, a: View, x: View) -> None:
    """Both output orders equal the product of the views."""
    values_a, values_x = random(a.size, 1), random(x.size, 2)
    expected = array_of(a, values_a).astype("f8") @ array_of(x, values_x).astype("f8")
    for columns_contiguous in (True, False):
        function = matmul_function("main", machine, a, x, columns_contiguous=columns_contiguous)
        y = run(function, machine, [values_a, values_x], expected.size)
        wanted = expected if columns_contiguous else expected.swapaxes(-1, -2)
        np.testing.assert_allclose(y.reshape(wanted.shape), wanted, rtol=1e-5, atol=2e-6 * max(a.shape[-1], 1))


SIZES = [(1, 1, 1), (1, 7, 40), (40, 7, 1), (5, 1, 3), (17, 33, 19), (6, 64, 4), (31, 5, 200), (50, 100, 130)]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("rows", "depth", "columns"), SIZES)
def test_sizes(machine: Machine, rows: int, depth: int, columns: int) -> None:
    check(machine, dense((2, rows, depth)), dense((2, depth, columns)))


@pytest.mark.parametrize("order_a", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (2, 1, 0)])
@pytest.mark.parametrize("order_x", [(0, 1, 2), (0, 2, 1), (2, 0, 1)])
def test_memory_orders(order_a: tuple[int, ...], order_x: tuple[int, ...]) -> None:
    check(V3, dense((3, 20, 18), order_a), dense((3, 18, 37), order_x))


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("dtype", ["float64", "int32", "int64", "uint32", "uint64"])
def test_other_element_types(machine: Machine, dtype: str) -> None:
    a, x = (replace(dense(shape), dtype=dtype) for shape in ((2, 19, 7), (2, 7, 45)))
    values = [(99 * random(view.size, view.size)).astype("int64").astype(dtype) for view in (a, x)]
    y = run(matmul_function("main", machine, a, x, output_dtype=dtype), machine, values, 2 * 19 * 45, dtype)
    np.testing.assert_array_equal(y.reshape(2, 19, 45), array_of(a, values[0]) @ array_of(x, values[1]))


def test_heads_of_one_channel_major_buffer() -> None:
    """Queries and keys as attention reads them: [head][channel][token], tokens adjacent."""
    buffer = replace(dense((2 * 3 * 8, 21)), offset=0)
    q, k = buffer.slice(0, 0, 24), buffer.slice(0, 24, 24)
    heads_q, heads_k = (view.reshape((3, 8, 21)) for view in (q, k))
    assert heads_q is not None
    assert heads_k is not None
    check(V3, heads_q.transpose((0, 2, 1)), heads_k)


@pytest.mark.parametrize("machine", MACHINES)
def test_operands_repeated_over_the_batch(machine: Machine) -> None:
    check(machine, dense((2, 1, 18, 5)).broadcast((2, 3, 18, 5)), dense((5, 24)).broadcast((2, 3, 5, 24)))
    check(machine, dense((18, 5)).broadcast((2, 3, 18, 5)), dense((3, 5, 24)).broadcast((2, 3, 5, 24)))


def test_vector_read_backwards_and_from_an_offset() -> None:
    a = dense((20, 9)).slice(1, 8, 4, -2)
    check(V3, a, dense((10, 30)).slice(0, 3, 4).slice(1, 5, 22))


def test_depth_of_zero_gives_zeros() -> None:
    y = run(matmul_function("main", V3, dense((3, 0)), dense((0, 5))), V3, [random(0), random(0)], 15)
    assert not y.any()


def test_empty_product_is_a_function_that_does_nothing() -> None:
    y = run(matmul_function("main", V3, dense((0, 4)), dense((4, 5))), V3, [random(0), random(20)], 0)
    assert y.size == 0


def test_several_panel_widths_and_row_groups() -> None:
    machine = replace(V3, threads=2)
    check(machine, dense((130, 600)), dense((600, 90)))


@pytest.mark.parametrize("columns_contiguous", [True, False])
def test_epilogue_knows_its_place(columns_contiguous: bool) -> None:  # noqa: FBT001
    """The bias by batch, row and column reaches the right element, also where blocks overlap."""
    batches, rows, columns, depth = 2, 21, 37, 6
    a, x = dense((batches, rows, depth)), dense((batches, depth, columns))
    bias: Array = random(batches * rows * columns, 3)

    def add(kernel: Kernel, value: Expr, position: Position) -> Expr:
        batch, i, j = position
        return value + kernel["bias"][(batch * rows + i) * columns + j]

    function = matmul_function(
        "main", V3, a, x, [Flat("bias", bias.size, "float32")], add, columns_contiguous=columns_contiguous
    )
    values_a, values_x = random(a.size, 1), random(x.size, 2)
    y = run(function, V3, [values_a, values_x, bias], bias.size)
    expected = array_of(a, values_a) @ array_of(x, values_x) + bias.reshape(batches, rows, columns)
    wanted = expected if columns_contiguous else expected.swapaxes(-1, -2)
    np.testing.assert_allclose(y.reshape(wanted.shape), wanted, rtol=1e-5, atol=1e-5)


def test_epilogue_may_change_the_dtype() -> None:
    function = matmul_function(
        "main",
        V3,
        dense((3, 4)),
        dense((4, 5)),
        epilogue=lambda _kernel, value, _position: (value * 8).astype("int32"),
        output_dtype="int32",
    )
    y = run(function, V3, [np.ones(12, "f4"), np.ones(20, "f4")], 15, "int32")
    np.testing.assert_array_equal(y, np.full(15, 32))


def test_an_infinity_reaches_only_its_own_row_and_column() -> None:
    """Padding and overlap never multiply zeros by what lies beside the operands."""
    a, x = random(20 * 5, 1), random(5 * 37, 2)
    a[7 * 5 + 2] = np.inf
    y = run(matmul_function("main", V3, dense((20, 5)), dense((5, 37))), V3, [a, x], 20 * 37).reshape(20, 37)
    assert np.isinf(y[7]).all()
    assert np.isfinite(np.delete(y, 7, axis=0)).all()


@given(
    st.tuples(*[st.integers(1, 3), *[st.integers(1, 40)] * 3]),
    st.permutations(range(3)),
    st.permutations(range(3)),
)
@settings(max_examples=10, deadline=None)
def test_any_shape_and_order(sizes: tuple[int, ...], order_a: list[int], order_x: list[int]) -> None:
    batch, rows, depth, columns = sizes
    check(V3, dense((batch, rows, depth), order_a), dense((batch, depth, columns), order_x))
