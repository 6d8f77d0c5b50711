"""Order statistics by counting, against a stable sort."""

from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from graphprune.masks import selection
from graphprune.masks.selection import Scores, keep_mask, threshold

few_values = st.sampled_from([-2.0, -0.0, 0.0, 1e-45, 1.0])
any_values = st.floats(width=32, allow_nan=False, allow_infinity=False)
scores_arrays = hnp.arrays(
    np.float32, hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=8), elements=few_values | any_values
)


@given(scores_arrays, st.data())
def test_mask_is_a_stable_sort(scores: Scores, data: st.DataObject) -> None:
    pruned = data.draw(st.integers(0, scores.size))
    expected = np.ones(scores.size, bool)
    expected[np.argsort(scores.reshape(-1), kind="stable")[:pruned]] = False
    mask = keep_mask(scores, pruned)
    assert mask.shape == scores.shape
    np.testing.assert_array_equal(mask.reshape(-1), expected)


@given(st.lists(scores_arrays, min_size=1, max_size=4), st.data())
def test_threshold_over_pieces_is_the_one_of_all(pieces: list[Scores], data: st.DataObject) -> None:
    everything = np.sort(np.concatenate([piece.reshape(-1) for piece in pieces]))
    count = data.draw(st.integers(1, everything.size))
    found = threshold(lambda: pieces, count)
    assert found.value == everything[count - 1]
    assert found.below == np.count_nonzero(everything < everything[count - 1])


def test_scores_longer_than_a_chunk() -> None:
    scores = np.random.default_rng(0).standard_normal(selection._CHUNK + 17).astype(np.float32)
    found = threshold(lambda: [scores], 1000)
    assert found.value == np.sort(scores)[999]


def test_the_lowest_index_goes_first_among_equals() -> None:
    mask = keep_mask(np.array([[1, 0, 1], [1, 1, 5]], np.float32), 3)
    np.testing.assert_array_equal(mask, [[False, False, False], [True, True, True]])


def test_scores_that_are_not_contiguous() -> None:
    scores = np.arange(6, dtype=np.float32).reshape(2, 3).T
    np.testing.assert_array_equal(keep_mask(scores, 2), scores > 1)


def test_ties_in_another_memory_order() -> None:
    scores = np.asfortranarray(np.ones((3, 4), np.float32))
    assert np.flatnonzero(~keep_mask(scores, 5)).tolist() == [0, 1, 2, 3, 4]
