"""Compressed sparse rows against scipy.sparse, and damaged rows."""

from __future__ import annotations

import dataclasses
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse
from hypothesis import given

from graphprune.errors import InputError
from graphprune.layouts import checks, csr
from tests.layouts.special import sparse_matrices


@given(sparse_matrices())
def test_round_trip_is_bit_exact_but_for_negative_zero(dense: npt.NDArray[Any]) -> None:
    rows = csr.pack(dense)
    expected = np.where(dense == 0, np.float32(0), dense)
    assert csr.is_valid(rows)
    assert csr.unpack(rows).tobytes() == expected.tobytes()


@given(sparse_matrices())
def test_agrees_with_scipy(dense: npt.NDArray[Any]) -> None:
    rows, reference = csr.pack(dense), scipy.sparse.csr_array(dense)
    np.testing.assert_array_equal(rows.values, reference.data)
    np.testing.assert_array_equal(rows.columns, reference.indices)
    np.testing.assert_array_equal(rows.row_offsets, reference.indptr)
    assert rows.nbytes == reference.data.nbytes + 4 * reference.indices.size + 4 * reference.indptr.size


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ml_dtypes.bfloat16, np.int8])
def test_keeps_the_dtype(dtype: npt.DTypeLike) -> None:
    dense = np.array([[0, 1.5, 0], [0, 0, 0]], dtype)
    rows = csr.pack(dense)
    assert rows.values.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(csr.unpack(rows), dense)


@pytest.mark.parametrize("array", [np.zeros(3, np.float32), np.zeros((2, 2), np.int16), np.zeros((2, 2), np.complex64)])
def test_refuses_what_is_not_a_floating_matrix(array: npt.NDArray[Any]) -> None:
    with pytest.raises(InputError, match=r"cannot pack a \d-d \w+ array, expected a 2-d floating one .*\[GP330\]"):
        csr.pack(array)


def test_refuses_more_nonzeros_than_an_offset_can_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "INDEX_LIMIT", 3)
    with pytest.raises(InputError, match=r"4 nonzeros in 2 columns exceed int32 offsets \[GP330\]"):
        csr.pack(np.ones((2, 2), np.float32))


def sample() -> csr.Rows:
    """[[0, 5, 7], [0, 0, 0], [1, 0, 2]]."""
    return csr.pack(np.array([[0, 5, 7], [0, 0, 0], [1, 0, 2]], np.float32))


def int32(*numbers: int) -> npt.NDArray[np.int32]:
    return np.array(numbers, np.int32)


DAMAGE: list[tuple[dict[str, Any], str]] = [
    ({"values": np.ones((4, 1), np.float32)}, "values has 2 dimensions, expected 1"),
    (
        {"values": np.array([5, 7, 1, 2], ">f4")},
        "values has dtype >f4, expected a floating one in native byte order, or one of 8-bit integers",
    ),
    (
        {"values": np.array([5, 7, 1, 2], np.int16)},
        "values has dtype int16, expected a floating one in native byte order, or one of 8-bit integers",
    ),
    ({"shape": (3, -3)}, "shape is (3, -3), expected no negative extent"),
    ({"columns": np.array([1, 2, 0, 2], np.int64)}, "columns has dtype int64, expected int32"),
    ({"columns": np.array([1, 2, 0, 2], ">i4")}, "columns has dtype >i4, expected int32"),
    ({"row_offsets": int32(0, 2, 4)}, "row_offsets has 3 entries, expected 4"),
    ({"columns": int32(1, 2, 0)}, "columns has 3 entries, expected 4"),
    ({"row_offsets": int32(1, 2, 2, 4)}, "row_offsets run from 1 to 4, expected 0 to 4"),
    ({"row_offsets": int32(0, 2, 2, 5)}, "row_offsets run from 0 to 5, expected 0 to 4"),
    ({"row_offsets": int32(0, 3, 2, 4)}, "row_offsets fall from 3 to 2 at row 1"),
    ({"columns": int32(1, 3, 0, 2)}, "column 3 at position 1 is outside [0, 3)"),
    ({"columns": int32(1, 2, -1, 2)}, "column -1 at position 2 is outside [0, 3)"),
    ({"columns": int32(1, 1, 0, 2)}, "columns do not increase at position 1: 1 then 1"),
]


@pytest.mark.parametrize(("change", "defect"), DAMAGE, ids=[defect for _, defect in DAMAGE])
def test_damaged_rows_are_named_and_never_unpacked(change: dict[str, Any], defect: str) -> None:
    damaged = dataclasses.replace(sample(), **change)
    assert csr.find_defect(damaged) == defect
    assert not csr.is_valid(damaged)
    with pytest.raises(InputError) as caught:
        csr.unpack(damaged)
    assert str(caught.value) == f"csr: {defect} [GP331]"
