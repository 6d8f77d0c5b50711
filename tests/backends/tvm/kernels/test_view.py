"""Strided views against NumPy, whose own strides do the same on an array of every element's place."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from graphprune.backends.tvm.kernels.view import (
    View,
    coalesce,
    join_views,
    merged_stride,
    reshape_blocks,
    row_major,
    strides_in_order,
)
from tests.backends.tvm.kernels.harness import Array, array_of

Pair = tuple[View, Array]
"""A view of a buffer that holds 0, 1, 2, ..., and the array that it should show."""


def dense(*shape: int, order: tuple[int, ...] | None = None) -> View:
    return View.dense(None, "int64", shape, order)


def shown(view: View) -> Array:
    return array_of(view, np.arange(max(view.size, 1)))


SHAPES = st.lists(st.integers(1, 4), max_size=4)


@st.composite
def pairs(draw: st.DrawFn) -> Pair:
    """A dense view in any memory order, then up to four transposes, slices, broadcasts and reshapes."""
    shape = draw(SHAPES)
    order = tuple(draw(st.permutations(range(len(shape)))))
    view = dense(*shape, order=order)
    array: Array = np.arange(view.size).reshape([shape[a] for a in order])
    pair = view, array.transpose(np.argsort(order)) if order else array
    steps: list[Callable[[st.DrawFn, Pair], Pair]] = [_transpose, _slice, _broadcast, _reshape]
    for step in draw(st.lists(st.sampled_from(steps), max_size=4)):
        pair = step(draw, pair)
    return pair


def _transpose(draw: st.DrawFn, pair: Pair) -> Pair:
    axes = draw(st.permutations(range(pair[1].ndim)))
    return pair[0].transpose(axes), pair[1].transpose(axes)


def _slice(draw: st.DrawFn, pair: Pair) -> Pair:
    view, array = pair
    if not array.ndim:
        return pair
    axis = draw(st.integers(0, array.ndim - 1))
    start = draw(st.integers(0, array.shape[axis] - 1))
    step = draw(st.sampled_from([-2, -1, 1, 2]))
    length = draw(st.integers(1, len(range(start, -1 if step < 0 else array.shape[axis], step))))
    places = [start + step * i for i in range(length)]
    return view.slice(axis, start, length, step), array.take(places, axis)


def _broadcast(draw: st.DrawFn, pair: Pair) -> Pair:
    view, array = pair
    shape = [draw(st.integers(1, 3)) if n == 1 else n for n in array.shape]
    shape = [*draw(st.lists(st.integers(1, 3), max_size=1)), *shape]
    return view.broadcast(shape), np.broadcast_to(array, shape)


def _reshape(draw: st.DrawFn, pair: Pair) -> Pair:
    view, array = pair
    shape = draw(other_shapes(array.size))
    result = view.reshape(shape)
    return pair if result is None else (result, array.reshape(shape))


@st.composite
def other_shapes(draw: st.DrawFn, size: int) -> list[int]:
    """Shapes of `size` elements."""
    shape: list[int] = []
    while size > 1 and len(shape) < 4:
        shape.append(draw(st.sampled_from([n for n in range(1, size + 1) if size % n == 0])))
        size //= shape[-1]
    return [*shape, size]


@given(pairs())
@settings(max_examples=150, deadline=None)
def test_shows_what_numpy_shows(pair: Pair) -> None:
    view, array = pair
    assert view.shape == array.shape
    assert view.elements == array.size
    np.testing.assert_array_equal(shown(view), array)


@given(pairs(), st.data())
@settings(max_examples=150, deadline=None)
def test_a_reshape_has_strides_exactly_where_numpy_needs_no_copy(pair: Pair, data: st.DataObject) -> None:
    view, array = pair
    shape = data.draw(other_shapes(array.size))
    strided = shown(view)
    result = view.reshape(shape)
    as_numpy = strided.reshape(shape)
    if result is None:
        assert not np.shares_memory(as_numpy, strided)
    else:
        np.testing.assert_array_equal(shown(result), array.reshape(shape))


@given(pairs())
@settings(max_examples=100, deadline=None)
def test_memory_order_puts_places_in_order(pair: Pair) -> None:
    """With repeats and directions out of the way, walking the axes in this order walks up in memory."""
    view, _ = pair
    order = view.memory_order()
    assert sorted(order) == list(range(len(view.shape)))
    steps = [abs(view.strides[a]) for a in order]
    distances = [s for s in steps if s]
    assert steps == [0] * (len(steps) - len(distances)) + sorted(distances, reverse=True)


def test_memory_order_of_ties_and_repeats() -> None:
    assert dense(2, 3, 4, order=(2, 0, 1)).memory_order() == (2, 0, 1)
    assert dense(3).broadcast((2, 3)).memory_order() == (0, 1)
    assert dense(3, 1).broadcast((3, 5)).memory_order() == (1, 0)
    assert replace(dense(2, 2), strides=(1, 1)).memory_order() == (0, 1)
    assert dense(5, 3).slice(0, 4, 5, -1).memory_order() == (0, 1)
    assert dense().memory_order() == ()


def test_strides_in_order() -> None:
    assert strides_in_order((2, 3, 4), (2, 0, 1)) == (3, 1, 6)
    assert strides_in_order((2, 0, 4), (0, 1, 2)) == (4, 4, 1)
    assert row_major((2, 3, 4)) == (12, 4, 1)
    assert row_major(()) == ()


def test_is_row_major() -> None:
    assert dense(2, 3).is_row_major
    assert dense().is_row_major
    assert dense(1, 3, order=(1, 0)).is_row_major
    assert not dense(2, 3, order=(1, 0)).is_row_major
    assert not dense(4, 3).slice(0, 0, 2).is_row_major
    assert not dense(4, 3).slice(0, 1, 3).is_row_major
    assert not dense(3).broadcast((2, 3)).is_row_major


def test_is_dense_as_ignores_the_strides_of_single_elements() -> None:
    assert dense(2, 1, 3).is_dense_as((3, 99, 1))
    assert not dense(2, 1, 3).is_dense_as((3, 99, 2))


def test_slice_keeps_the_buffer() -> None:
    view = dense(4, 6).slice(1, 5, 3, -2).slice(0, 1, 2)
    assert (view.size, view.offset, view.shape, view.strides) == (24, 11, (2, 3), (6, -2))


def test_broadcast_of_other_extents_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        dense(2, 3).broadcast((3,))


def test_empty_tensors_reshape() -> None:
    assert dense(2, 0, 3).reshape((0, 7)) == replace(dense(2, 0, 3), shape=(0, 7), strides=(7, 1))
    assert dense(2, 0, 3).elements == 0


RESHAPES = [
    ((), (), []),
    ((1,), (), [(1, 0)]),
    ((6,), (2, 3), [(1, 2)]),
    ((2, 3), (6,), [(2, 1)]),
    ((2, 3, 4), (2, 12), [(1, 1), (2, 1)]),
    ((4, 6), (2, 2, 3, 2), [(1, 2), (1, 2)]),
    ((4, 6), (8, 3), [(2, 2)]),
    ((2, 1, 3, 1), (1, 2, 3), [(2, 2), (2, 1)]),
    ((1, 1, 5), (5, 1), [(3, 2)]),
]


@pytest.mark.parametrize(("old", "new", "lengths"), RESHAPES)
def test_reshape_blocks(old: tuple[int, ...], new: tuple[int, ...], lengths: list[tuple[int, int]]) -> None:
    assert [(len(a), len(b)) for a, b in reshape_blocks(old, new)] == lengths


@given(st.data(), SHAPES)
@settings(max_examples=100, deadline=None)
def test_reshape_blocks_cover_both_shapes_in_order(data: st.DataObject, old: list[int]) -> None:
    new = data.draw(other_shapes(math.prod(old)))
    blocks = reshape_blocks(old, new)
    assert [axis for axes, _ in blocks for axis in axes] == list(range(len(old)))
    assert [axis for _, axes in blocks for axis in axes] == list(range(len(new)))
    for old_axes, new_axes in blocks:
        assert math.prod(old[a] for a in old_axes) == math.prod(new[a] for a in new_axes)


def test_merged_stride() -> None:
    assert merged_stride((2, 3, 4), (12, 4, 1)) == 1
    assert merged_stride((2, 3), (15, 5)) == 5
    assert merged_stride((2, 3), (-3, -1)) == -1
    assert merged_stride((2, 1, 3), (3, 77, 1)) == 1
    assert merged_stride((2, 3), (0, 0)) == 0
    assert merged_stride((1, 1), (5, 7)) == 0
    assert merged_stride((), ()) == 0
    assert merged_stride((2, 3), (1, 2)) is None
    assert merged_stride((2, 3), (0, 1)) is None


@given(pairs(), pairs())
@settings(max_examples=100, deadline=None)
def test_coalesce_walks_the_same_places(one: Pair, other: Pair) -> None:
    try:
        shape = np.broadcast_shapes(one[0].shape, other[0].shape)
    except ValueError:
        assume(False)  # noqa: FBT003
    views = [one[0].broadcast(shape), other[0].broadcast(shape)]
    extents, steps = coalesce(shape, [view.strides for view in views])
    assert len(extents) >= 1
    assert 1 not in extents or extents == [1]
    for view, strides in zip(views, steps, strict=True):
        merged = replace(view, shape=tuple(extents), strides=tuple(strides))
        np.testing.assert_array_equal(shown(merged).ravel(), shown(view).ravel())


def test_coalesce_merges_all_that_it_can() -> None:
    assert coalesce((2, 3, 4), [(12, 4, 1)]) == ([24], [[1]])
    assert coalesce((2, 3, 4), [(12, 4, 1), (4, 0, 1)]) == ([2, 3, 4], [[12, 4, 1], [4, 0, 1]])
    assert coalesce((2, 3, 4), [(12, 4, 1), (0, 4, 1)]) == ([2, 12], [[12, 1], [0, 1]])
    assert coalesce((1, 5, 1), [(9, 2, 9)]) == ([5], [[2]])
    assert coalesce((), [(), ()]) == ([1], [[0], [0]])


@given(pairs(), st.data())
@settings(max_examples=150, deadline=None)
def test_what_is_cut_is_a_view_again(pair: Pair, data: st.DataObject) -> None:
    view, array = pair
    assume(array.ndim)
    axis = data.draw(st.integers(0, array.ndim - 1))
    cuts = sorted(data.draw(st.sets(st.integers(1, array.shape[axis]))) | {array.shape[axis]})
    parts = [view.slice(axis, start, end - start) for start, end in itertools.pairwise([0, *cuts])]
    joined = join_views(parts, axis)
    assert joined is not None
    np.testing.assert_array_equal(shown(joined), array)


@given(pairs(), st.data())
@settings(max_examples=300, deadline=None)
def test_any_parts_are_joined_rightly_or_not_at_all(pair: Pair, data: st.DataObject) -> None:
    view, array = pair
    assume(array.ndim)
    axis = data.draw(st.integers(0, array.ndim - 1))
    parts = data.draw(st.lists(_parts(view, axis), min_size=1, max_size=4))
    joined = join_views(parts, axis)
    if joined is not None:
        np.testing.assert_array_equal(shown(joined), np.concatenate([shown(part) for part in parts], axis))


def _parts(view: View, axis: int) -> st.SearchStrategy[View]:
    """Runs of elements along an axis, some of them backwards."""
    places = st.lists(st.integers(0, view.shape[axis] - 1), min_size=2, max_size=2)
    return places.map(
        lambda ends: view.slice(axis, ends[0], abs(ends[1] - ends[0]) + 1, 1 if ends[1] >= ends[0] else -1)
    )


@pytest.mark.parametrize("other", [{"buffer": "c"}, {"dtype": "int32"}], ids=str)
def test_parts_of_other_buffers_are_not_joined(other: dict[str, Any]) -> None:
    whole = dense(4, 5)
    parts = whole.slice(0, 0, 2), whole.slice(0, 2, 2)
    assert join_views(parts, 0) == whole
    assert join_views([parts[0], replace(parts[1], **other)], 0) is None


def test_parts_of_other_directions_are_not_joined() -> None:
    whole = dense(4)
    assert join_views([whole.slice(0, 0, 2), whole.slice(0, 2, 2, -1)], 0) is None
