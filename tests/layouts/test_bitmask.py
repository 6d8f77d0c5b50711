"""Bit masks against the elements one by one, and damaged ones."""

from __future__ import annotations

import dataclasses
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given

from graphprune.errors import InputError
from graphprune.layouts import bitmask, checks
from tests.layouts.special import sparse_matrices


@given(sparse_matrices())
def test_round_trip_is_bit_exact_but_for_negative_zero(dense: npt.NDArray[Any]) -> None:
    rows = bitmask.pack(dense)
    expected = np.where(dense == 0, np.float32(0), dense)
    assert bitmask.is_valid(rows)
    assert bitmask.unpack(rows).tobytes() == expected.tobytes()


@given(sparse_matrices())
def test_each_bit_says_whether_the_next_value_is_there(dense: npt.NDArray[Any]) -> None:
    rows = bitmask.pack(dense)
    for row in range(dense.shape[0]):
        values = iter(rows.values[rows.row_offsets[row] : rows.row_offsets[row + 1]].tobytes())
        for column in range(dense.shape[1]):
            if rows.bits[row, column // 8] >> column % 8 & 1:
                assert bytes(next(values) for _ in range(4)) == dense[row, column].tobytes()
            else:
                assert dense[row, column] == 0
        assert next(values, None) is None
    assert rows.nbytes == 4 * np.count_nonzero(dense) + len(dense) * -(-dense.shape[1] // 8) + 4 * len(dense) + 4


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ml_dtypes.bfloat16, np.int8])
def test_keeps_the_dtype(dtype: npt.DTypeLike) -> None:
    dense = np.array([[0, 1.5, 0], [0, 0, 0]], dtype)
    rows = bitmask.pack(dense)
    assert rows.values.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(bitmask.unpack(rows), dense)


@pytest.mark.parametrize("array", [np.zeros(3, np.float32), np.zeros((2, 2), np.int16), np.zeros((2, 2), ">f4")])
def test_refuses_what_is_not_a_floating_matrix(array: npt.NDArray[Any]) -> None:
    with pytest.raises(InputError, match=r"bitmask: cannot pack a \d-d \S+ array, expected a 2-d floating one .*GP330"):
        bitmask.pack(array)


def test_refuses_more_nonzeros_than_an_offset_can_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "INDEX_LIMIT", 3)
    with pytest.raises(InputError, match=r"4 nonzeros exceed int32 offsets \[GP330\]"):
        bitmask.pack(np.ones((2, 2), np.float32))


def sample() -> bitmask.MaskedRows:
    """[[0, 5, 7], [0, 0, 0], [1, 0, 2]]."""
    return bitmask.pack(np.array([[0, 5, 7], [0, 0, 0], [1, 0, 2]], np.float32))


def int32(*numbers: int) -> npt.NDArray[np.int32]:
    return np.array(numbers, np.int32)


def uint8(*rows: int) -> npt.NDArray[np.uint8]:
    return np.array(rows, np.uint8)[:, None]


DAMAGE: list[tuple[dict[str, Any], str]] = [
    ({"values": np.ones((4, 1), np.float32)}, "values has 2 dimensions, expected 1"),
    (
        {"values": np.ones(4, ">f4")},
        "values has dtype >f4, expected a floating one in native byte order, or one of 8-bit integers",
    ),
    ({"values": np.ones(5, np.float32)}, "row_offsets run from 0 to 4, expected 0 to 5"),
    ({"bits": uint8(6, 0, 5)[:, 0]}, "bits has 1 dimensions, expected 2"),
    ({"bits": uint8(6, 0, 5).view(np.int8)}, "bits has dtype int8, expected uint8"),
    ({"bits": uint8(6, 0)}, "bits has shape (2, 1), expected (3, 1)"),
    ({"bits": uint8(6, 0, 5).repeat(2, axis=1)}, "bits has shape (3, 2), expected (3, 1)"),
    ({"bits": uint8(6, 0, 8)}, "row 2 has a bit behind its last column 2"),
    ({"bits": uint8(6, 1, 4)}, "row 1 has 1 bits for 0 values"),
    ({"bits": uint8(7, 0, 5)}, "row 0 has 3 bits for 2 values"),
    ({"row_offsets": int32(0, 2, 2, 4).astype(">i4")}, "row_offsets has dtype >i4, expected int32"),
    ({"row_offsets": int32(0, 2, 4)}, "row_offsets has 3 entries, expected 4"),
    ({"row_offsets": int32(1, 2, 2, 4)}, "row_offsets run from 1 to 4, expected 0 to 4"),
    ({"row_offsets": int32(0, 3, 2, 4)}, "row_offsets fall from 3 to 2 at row 1"),
    ({"shape": (3, 9)}, "bits has shape (3, 1), expected (3, 2)"),
    ({"shape": (3, 2)}, "row 0 has a bit behind its last column 1"),
    ({"shape": (3, -1)}, "shape is (3, -1), expected no negative extent"),
]


@pytest.mark.parametrize(("change", "defect"), DAMAGE, ids=[defect for _, defect in DAMAGE])
def test_damaged_rows_are_named_and_never_unpacked(change: dict[str, Any], defect: str) -> None:
    damaged = dataclasses.replace(sample(), **change)
    assert bitmask.find_defect(damaged) == defect
    assert not bitmask.is_valid(damaged)
    with pytest.raises(InputError) as caught:
        bitmask.unpack(damaged)
    assert str(caught.value) == f"bitmask: {defect} [GP331]"
