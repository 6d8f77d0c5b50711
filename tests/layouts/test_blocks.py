"""Rows of blocks against scipy.sparse, and damaged ones."""

from __future__ import annotations

import dataclasses
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from graphprune.errors import InputError
from graphprune.layouts import blocks, checks
from tests.layouts.special import sparse_matrices


@st.composite
def blocked(draw: st.DrawFn) -> tuple[npt.NDArray[Any], tuple[int, int]]:
    """A matrix, some of whose blocks are zeros of any sign, and the size of its blocks."""
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    return draw(sparse_matrices(rows, columns)), (rows, columns)


@given(blocked())
def test_round_trip_is_bit_exact_but_for_blocks_of_zeros(case: tuple[npt.NDArray[Any], tuple[int, int]]) -> None:
    dense, (rows, columns) = case
    expected = dense.copy()
    for row in range(0, dense.shape[0], rows):
        for column in range(0, dense.shape[1], columns):
            block = expected[row : row + rows, column : column + columns]
            block[...] = block if block.any() else 0
    packed = blocks.pack(dense, (rows, columns))
    assert blocks.is_valid(packed)
    assert blocks.unpack(packed).tobytes() == expected.tobytes()


@given(blocked().filter(lambda case: case[0].size > 0))
def test_agrees_with_scipy(case: tuple[npt.NDArray[Any], tuple[int, int]]) -> None:
    dense, block = case
    packed, reference = blocks.pack(dense, block), scipy.sparse.bsr_array(dense, blocksize=block)
    reference.sort_indices()
    np.testing.assert_array_equal(packed.values, reference.data)
    np.testing.assert_array_equal(packed.columns, reference.indices)
    np.testing.assert_array_equal(packed.row_offsets, reference.indptr)
    assert packed.nbytes == reference.data.nbytes + 4 * reference.indices.size + 4 * reference.indptr.size


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ml_dtypes.bfloat16, np.int8])
def test_keeps_the_dtype(dtype: npt.DTypeLike) -> None:
    dense = np.array([[0, 1.5, 0, 0], [0, 0, 0, 0]], dtype)
    packed = blocks.pack(dense, (1, 2))
    assert packed.values.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(blocks.unpack(packed), dense)


def test_a_transposed_matrix_is_packed_too() -> None:
    dense = np.arange(12, dtype=np.float32).reshape(3, 4).T
    np.testing.assert_array_equal(blocks.unpack(blocks.pack(dense, (2, 1))), dense)


@pytest.mark.parametrize("array", [np.zeros(3, np.float32), np.zeros((2, 2), np.int16), np.zeros((2, 2), ">f4")])
def test_refuses_what_is_not_a_floating_matrix(array: npt.NDArray[Any]) -> None:
    with pytest.raises(InputError, match=r"blocks: cannot pack a \d-d \S+ array, expected a 2-d floating one .*GP330"):
        blocks.pack(array, (1, 1))


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ((3, 2), "4 rows by 6 columns, no multiple of 3 by 2"),
        ((2, 4), "4 rows by 6 columns, no multiple of 2 by 4"),
        ((0, 2), "blocks of 0 by 2 are empty"),
    ],
)
def test_refuses_blocks_that_do_not_fit(block: tuple[int, int], reason: str) -> None:
    with pytest.raises(InputError) as caught:
        blocks.pack(np.ones((4, 6), np.float32), block)
    assert str(caught.value) == f"blocks: {reason} [GP330]"


def test_refuses_more_blocks_than_an_offset_can_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "INDEX_LIMIT", 3)
    with pytest.raises(InputError, match=r"4 blocks in 2 block columns exceed int32 offsets \[GP330\]"):
        blocks.pack(np.ones((4, 2), np.float32), (2, 1))


def sample() -> blocks.BlockRows:
    """Blocks of 1 by 2: two in the first row, none in the second, one in the third."""
    return blocks.pack(np.array([[0, 5, 7, 8], [0, 0, 0, 0], [0, 0, 2, 0]], np.float32), (1, 2))


def int32(*numbers: int) -> npt.NDArray[np.int32]:
    return np.array(numbers, np.int32)


DAMAGE: list[tuple[dict[str, Any], str]] = [
    ({"values": np.ones((3, 2), np.float32)}, "values has 2 dimensions, expected 3"),
    (
        {"values": np.ones((3, 1, 2), ">f4")},
        "values has dtype >f4, expected a floating one in native byte order, or one of 8-bit integers",
    ),
    ({"values": np.ones((3, 1, 3), np.float32)}, "3 rows by 4 columns, no multiple of 1 by 3"),
    ({"values": np.ones((3, 1, 0), np.float32)}, "blocks of 1 by 0 are empty"),
    ({"values": np.ones((4, 1, 2), np.float32)}, "columns has 3 entries, expected 4"),
    ({"columns": np.array([0, 1, 1], ">i4")}, "columns has dtype >i4, expected int32"),
    ({"columns": int32(0, 1)}, "columns has 2 entries, expected 3"),
    ({"columns": int32(0, 2, 1)}, "column 2 at position 1 is outside [0, 2)"),
    ({"columns": int32(-1, 1, 1)}, "column -1 at position 0 is outside [0, 2)"),
    ({"columns": int32(1, 1, 1)}, "columns do not increase at position 1: 1 then 1"),
    ({"row_offsets": int32(0, 2, 2, 3)[:, None]}, "row_offsets has 2 dimensions, expected 1"),
    ({"row_offsets": int32(0, 2, 3)}, "row_offsets has 3 entries, expected 4"),
    ({"row_offsets": int32(0, 2, 2, 4)}, "row_offsets run from 0 to 4, expected 0 to 3"),
    ({"row_offsets": int32(0, 2, 1, 3)}, "row_offsets fall from 2 to 1 at row 1"),
    ({"shape": (3, 2)}, "column 1 at position 1 is outside [0, 1)"),
    ({"shape": (-3, 4)}, "shape is (-3, 4), expected no negative extent"),
]


@pytest.mark.parametrize(("change", "defect"), DAMAGE, ids=[defect for _, defect in DAMAGE])
def test_damaged_rows_are_named_and_never_unpacked(change: dict[str, Any], defect: str) -> None:
    damaged = dataclasses.replace(sample(), **change)
    assert blocks.find_defect(damaged) == defect
    assert not blocks.is_valid(damaged)
    with pytest.raises(InputError) as caught:
        blocks.unpack(damaged)
    assert str(caught.value) == f"blocks: {defect} [GP331]"
