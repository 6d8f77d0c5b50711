"""Attention in one kernel against NumPy in float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.backends.tvm.kernels.attention import Epilogues, attention_function
from graphprune.backends.tvm.kernels.builder import Expr, Flat, Kernel, Machine
from graphprune.backends.tvm.kernels.epilogue import Position
from graphprune.backends.tvm.kernels.view import View
from tests.backends.tvm.kernels.harness import MACHINES, V3, Array, array_of, random, run


def dense(shape: Sequence[int], order: Sequence[int] | None = None) -> View:
    return View.dense(None, "float32", shape, order)


def softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    shares: Array = powers / powers.sum(-1, keepdims=True)
    return shares


def check(machine: Machine, q: View, k: View, v: View) -> None:
    """Both output orders equal the softmax of the scores times the values."""
    buffers = [random(view.size, seed) for seed, view in enumerate((q, k, v))]
    wide_q, wide_k, wide_v = (array_of(*each).astype("f8") for each in zip((q, k, v), buffers, strict=True))
    expected = softmax(wide_q @ wide_k) @ wide_v
    for columns_contiguous in (True, False):
        function = attention_function(machine, q, k, v, columns_contiguous=columns_contiguous)
        y = run(function, machine, buffers, expected.size)
        wanted = expected if columns_contiguous else expected.swapaxes(-1, -2)
        np.testing.assert_allclose(y.reshape(wanted.shape), wanted, rtol=2e-5, atol=5e-6)


SIZES = [(16, 1, 1, 1), (16, 8, 5, 3), (17, 4, 40, 24), (49, 32, 49, 32), (100, 16, 130, 50)]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("queries", "channels", "keys", "features"), SIZES)
def test_sizes(machine: Machine, queries: int, channels: int, keys: int, features: int) -> None:
    check(machine, dense((2, queries, channels)), dense((2, channels, keys)), dense((2, keys, features)))


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (2, 1, 0)])
def test_memory_orders(order: tuple[int, ...]) -> None:
    check(V3, dense((3, 20, 6), order), dense((3, 6, 18), order), dense((3, 18, 9), order))


@pytest.mark.parametrize("machine", MACHINES)
def test_keys_and_values_that_heads_share(machine: Machine) -> None:
    k, v = (dense((2, 1, *rest)).broadcast((2, 3, *rest)) for rest in ((5, 24), (24, 7)))
    check(machine, dense((2, 3, 18, 5)), k, v)


@pytest.mark.parametrize("batches", [1, 3, 9])
def test_threads_share_matrices_or_their_queries(batches: int) -> None:
    machine = replace(V3, threads=2)
    check(machine, dense((batches, 90, 4)), dense((batches, 4, 33)), dense((batches, 33, 5)))


@pytest.mark.parametrize("columns_contiguous", [True, False])
def test_each_epilogue_knows_its_place(columns_contiguous: bool) -> None:  # noqa: FBT001
    """What is added by matrix, row and column reaches the right element, also where blocks and panels overlap."""
    batches, queries, channels, keys, features = 2, 37, 3, 21, 19
    sizes = {
        "scores": (batches, queries, keys),
        "shares": (batches, queries, keys),
        "out": (batches, queries, features),
    }
    added = {name: random(int(np.prod(shape)), 7 + i) for i, (name, shape) in enumerate(sizes.items())}

    def adding(name: str) -> object:
        _, rows, columns = sizes[name]

        def add(kernel: Kernel, value: Expr, position: Position) -> Expr:
            batch, i, j = position
            return value + kernel[name][(batch * rows + i) * columns + j]

        return add

    q, k, v = dense((batches, queries, channels)), dense((batches, channels, keys)), dense((batches, keys, features))
    function = attention_function(
        V3,
        q,
        k,
        v,
        [Flat(name, each.size, "float32") for name, each in added.items()],
        Epilogues(*map(adding, sizes)),  # type: ignore[arg-type]
        columns_contiguous=columns_contiguous,
    )
    buffers = [random(view.size, seed) for seed, view in enumerate((q, k, v))]
    y = run(function, V3, [*buffers, *added.values()], batches * queries * features)
    scores, shares, out = (added[name].reshape(shape) for name, shape in sizes.items())
    wide_q, wide_k, wide_v = (array_of(*each) for each in zip((q, k, v), buffers, strict=True))
    expected = (softmax(wide_q @ wide_k + scores) + shares) @ wide_v + out
    wanted = expected if columns_contiguous else expected.swapaxes(-1, -2)
    np.testing.assert_allclose(y.reshape(wanted.shape), wanted, rtol=1e-5, atol=2e-5)


def test_the_output_may_have_another_element_type() -> None:
    def rounded(_kernel: Kernel, value: Expr, _position: Position) -> Expr:
        return (value * 8).astype("int32")

    views = dense((16, 2)), dense((2, 3)), dense((3, 1))
    function = attention_function(V3, *views, epilogues=Epilogues(output=rounded), output_dtype="int32")
    ones = [np.ones(view.size, "f4") for view in views]
    np.testing.assert_array_equal(run(function, V3, ones, 16, "int32"), np.full(16, 8))


def test_large_scores_do_not_overflow() -> None:
    views = dense((16, 1)), dense((1, 3)), dense((3, 1))
    q, k, v = np.full(16, 1e3, "f4"), np.array([-1, 1, 1], "f4"), np.array([5, 1, 3], "f4")
    np.testing.assert_array_equal(run(attention_function(V3, *views), V3, [q, k, v], 16), np.full(16, 2))


def test_nothing_of_a_query_reaches_another() -> None:
    """NaN in one query, infinities in another: all others stay finite, in panels that overlap too."""
    q, k, v = random(35 * 4, 1), random(4 * 6, 2), random(6 * 3, 3)
    q[17 * 4], q[20 * 4] = np.nan, np.inf
    views = dense((35, 4)), dense((4, 6)), dense((6, 3))
    y = run(attention_function(V3, *views), V3, [q, k, v], 35 * 3).reshape(35, 3)
    assert np.isnan(y[[17, 20]]).all()
    assert np.isfinite(np.delete(y, [17, 20], axis=0)).all()


@given(
    st.tuples(st.integers(1, 3), st.integers(8, 60), *[st.integers(1, 40)] * 3),
    st.permutations(range(3)),
    st.permutations(range(3)),
)
@settings(max_examples=15, deadline=None)
def test_random_sizes_and_orders(sizes: tuple[int, ...], order: list[int], order_v: list[int]) -> None:
    batches, queries, channels, keys, features = sizes
    q, k = dense((batches, queries, channels), order), dense((batches, channels, keys), order)
    check(V3, q, k, dense((batches, keys, features), order_v))
