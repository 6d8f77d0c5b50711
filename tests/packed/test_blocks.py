"""Weights in blocks: read back from their arrays, the sizes that are looked for, and what they take."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from graphprune.packed.blocks import SIZES, BlockWeight, fits, pattern_size, smallest_size, stored_bytes


def blocky(size: tuple[int, int], blocks: tuple[int, int] = (8, 8), holes: int = 0) -> npt.NDArray[Any]:
    """A checkerboard of blocks, of which some elements are zero."""
    kept = np.indices(blocks).sum(axis=0) % 3 == 0
    nonzero = np.repeat(np.repeat(kept, size[0], axis=0), size[1], axis=1)
    nonzero[tuple(each[:holes] for each in np.nonzero(nonzero))] = False
    return nonzero


def test_it_is_read_back() -> None:
    weight = np.zeros((6, 4, 3), np.float32)
    weight[2, 3, 1], weight[5, 0, 2], weight[4, 1, 0] = 1, 2, 3
    packed = BlockWeight.pack(weight, (2, 4))
    again = BlockWeight.read(packed.arrays, (), weight.shape)
    assert again.find_defect() is None
    np.testing.assert_array_equal(again.dense(), weight)
    assert (again.layout, again.nbytes, again.attributes) == ("block 2x4", 3 * 8 * 4 + 3 * 4 + 4 * 4, {})


def test_the_sizes_that_are_looked_for() -> None:
    assert SIZES == ((1, 4), (1, 8), (1, 16), (4, 1), (8, 1), (16, 1), (4, 4), (8, 8), (16, 16), (32, 32))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("itemsize", [4, 8])
def test_the_smallest_size_is_the_one_that_it_was_made_of(size: tuple[int, int], itemsize: int) -> None:
    assert smallest_size(blocky(size), itemsize) == size
    assert pattern_size(blocky(size)) == size


@pytest.mark.parametrize(("size", "itemsize"), [((2, 3), 4), ((4, 1), 2), ((1, 8), 8)])
def test_the_bytes_that_are_stored_are_those_that_are_told(size: tuple[int, int], itemsize: int) -> None:
    nonzero = blocky(size)
    weight = nonzero.astype({2: np.float16, 4: np.float32, 8: np.float64}[itemsize])
    assert stored_bytes(nonzero, itemsize, size) == BlockWeight.pack(weight, size).nbytes


@pytest.mark.parametrize(("columns", "expected"), [(3, None), (4, (4, 1))])
def test_blocks_are_smaller_than_the_weight_to_the_byte(columns: int, expected: tuple[int, int] | None) -> None:
    """Two blocks of 20 bytes and two offsets of 4 take what 4 x 3 elements do."""
    nonzero = np.zeros((4, columns), np.bool_)
    nonzero[:, :2] = True
    assert stored_bytes(nonzero, 4, (4, 1)) == 48
    assert smallest_size(nonzero, 4) == expected


def test_a_weight_that_no_block_divides_has_no_size() -> None:
    assert smallest_size(np.zeros((3, 3), np.bool_), 4) is None


def test_blocks_have_to_divide_both_sides() -> None:
    assert fits((8, 6, 3), (4, 3))
    assert not fits((8, 6, 3), (3, 3))
    assert not fits((8, 6, 3), (4, 4))


@pytest.mark.parametrize(("holes", "expected"), [(4, (4, 4)), (16, (4, 4)), (17, (1, 4))])
def test_blocks_may_have_a_few_zeros(holes: int, expected: tuple[int, int]) -> None:
    """There are 21 blocks, 336 elements, of which 5% are 16.8."""
    assert np.count_nonzero(blocky((4, 4))) == 336
    assert pattern_size(blocky((4, 4), holes=holes)) == expected


def test_a_full_weight_has_no_pattern() -> None:
    assert pattern_size(np.ones((8, 8), np.bool_)) is None
