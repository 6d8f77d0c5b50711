"""Which indices belong to which channel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.analysis.channels import IndexMap

CASES = {
    "consecutive": (IndexMap.consecutive(3, 4), [[3], [4], [5], [6]]),
    "flattened positions": (IndexMap(0, ((3, 2),), ((2, 1),)), [[0, 1], [2, 3], [4, 5]]),
    "channels last": (IndexMap(1, ((3, 1),), ((2, 3),)), [[1, 4], [2, 5], [3, 6]]),
    "shuffled": (IndexMap(0, ((2, 1), (3, 2))), [[0], [2], [4], [1], [3], [5]]),
    "backwards": (IndexMap(3, ((4, -1),)), [[3], [2], [1], [0]]),
    "one channel": (IndexMap(5, ()), [[5]]),
}


@pytest.mark.parametrize(("index", "indices"), CASES.values(), ids=CASES)
def test_both_ways(index: IndexMap, indices: list[list[int]]) -> None:
    expected = np.array(indices)
    np.testing.assert_array_equal(index.indices(), expected)
    assert IndexMap.fit(expected) == index
    assert (index.size, index.repeat) == expected.shape
    assert index.is_consecutive == (index == CASES["consecutive"][0])


@pytest.mark.parametrize("indices", [[[0], [1], [3]], [[0], [1], [2], [5], [6]], [[0, 1], [2, 4]], [[0, 1], [1, 0]]])
def test_without_strides(indices: list[list[int]]) -> None:
    assert IndexMap.fit(np.array(indices)) is None


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.randoms(use_true_random=False), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_every_transposed_reshape_has_strides(extents: list[int], random, start: int) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    order = list(range(len(extents)))
    random.shuffle(order)
    indices = start + np.arange(np.prod(extents)).reshape(extents).transpose(order)
    for size in {1, indices.shape[0], indices.size}:
        wanted = indices.reshape(size, -1)
        found = IndexMap.fit(wanted)
        assert found is not None
        np.testing.assert_array_equal(found.indices(), wanted)


def test_composition() -> None:
    heads = IndexMap(0, ((4, 16),), ((16, 1),))
    second_half = IndexMap.consecutive(2, 2)
    found = heads.of(second_half)
    assert found == IndexMap(32, ((2, 16),), ((16, 1),))
    assert heads.of(IndexMap(0, ((2, 2),), ((2, 1),))) == IndexMap(0, ((2, 32),), ((32, 1),))


def test_composition_without_strides() -> None:
    assert IndexMap(0, ((2, 3), (2, 1))).of(IndexMap.consecutive(1, 3)) is None


def test_text() -> None:
    assert str(IndexMap.consecutive(2, 3)) == "2:5"
    assert str(IndexMap(0, ((4, 16),), ((16, 1),))) == "0+4x16+16x1"
