"""NVIDIA's 2:4 format against torch's conversions, and damaged matrices."""

from __future__ import annotations

import dataclasses
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.sparse import _semi_structured_conversions

from graphprune.errors import InputError
from graphprune.layouts import semi_structured
from tests.layouts.special import SPECIAL

to_sparse: Any = _semi_structured_conversions.sparse_semi_structured_from_dense_cutlass
to_dense: Any = _semi_structured_conversions.sparse_semi_structured_to_dense_cutlass

TORCH = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32, "int8": torch.int8}
STEPS = {"float16": (32, 32), "bfloat16": (32, 32), "float32": (32, 16), "int8": (16, 64)}
"""What rows and columns are multiples of."""


def numpy_dtype(name: str) -> np.dtype[Any]:
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def to_torch(array: npt.NDArray[Any], name: str) -> torch.Tensor:
    return torch.from_numpy(array.view(f"i{array.dtype.itemsize}").copy()).view(TORCH[name])


def as_tf32(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What tensor cores see of float32; torch's conversion changes other numbers, as it moves halves as float16."""
    return (array.view(np.uint32) & np.uint32(0xFFFF_E000)).view(np.float32)


def assert_same_numbers(array: npt.NDArray[Any], tensor: torch.Tensor) -> None:
    np.testing.assert_array_equal(array.astype(np.float64), tensor.double().numpy(), strict=True)


@st.composite
def patterned(draw: st.DrawFn, name: str) -> npt.NDArray[Any]:
    """A matrix with at most half of each group, special values among them, or fewer."""
    rows, columns = (draw(st.integers(1, 3)) * step for step in STEPS[name])
    group = 2 if name == "float32" else 4
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    values = rng.integers(-128, 128, (rows, columns)) if name == "int8" else rng.standard_normal((rows, columns))
    if name != "int8":
        special = rng.random(values.shape) < 0.5
        values[special] = rng.choice(SPECIAL, np.count_nonzero(special))
    ranks = rng.random((rows, columns // group, group)).argsort(axis=2).argsort(axis=2)
    kept = (ranks < group // 2).reshape(rows, columns) & (rng.random(values.shape) < draw(st.sampled_from([0.5, 1])))
    return np.where(kept, values, 0).astype(numpy_dtype(name))


@pytest.mark.parametrize("name", TORCH)
def test_agrees_with_torch_both_ways(name: str) -> None:
    """Numbers alone are compared: torch gathers NaN as another NaN."""

    @settings(max_examples=40, deadline=None)
    @given(patterned(name))
    def check(matrix: npt.NDArray[Any]) -> None:
        dense = as_tf32(matrix) if name == "float32" else matrix
        packed = semi_structured.pack(dense)
        values, metadata = to_sparse(to_torch(dense, name))
        assert_same_numbers(packed.values, values)
        np.testing.assert_array_equal(packed.metadata, metadata.numpy(), strict=True)
        assert_same_numbers(semi_structured.unpack(packed), to_dense(values, metadata))

    check()


@pytest.mark.parametrize("name", TORCH)
def test_round_trip_is_bit_exact_but_for_negative_zero(name: str) -> None:
    @settings(max_examples=40, deadline=None)
    @given(patterned(name))
    def check(dense: npt.NDArray[Any]) -> None:
        packed = semi_structured.pack(dense)
        unpacked = semi_structured.unpack(packed)
        assert semi_structured.is_valid(packed)
        assert unpacked.dtype == dense.dtype
        assert np.where(unpacked == 0, 0, unpacked).tobytes() == np.where(dense == 0, 0, dense).tobytes()
        assert packed.nbytes == dense.nbytes // 2 + dense.nbytes // 16 * (2 if name == "int8" else 1)

    check()


def test_a_transposed_matrix_is_packed_too() -> None:
    dense = np.tile(np.array([[1, 0, 2, 0]], np.float16), (32, 8))
    np.testing.assert_array_equal(semi_structured.unpack(semi_structured.pack(np.asfortranarray(dense))), dense)


def test_words_alone_in_their_row_are_refused_though_torch_takes_them() -> None:
    """Columns of words come in pairs: one alone would be stored behind the end."""
    with pytest.raises(InputError, match=r"32 rows by 16 columns of float16, no multiple of 32 by 32 \[GP330\]"):
        semi_structured.pack(np.zeros((32, 16), np.float16))


REFUSED: list[tuple[npt.NDArray[Any], str]] = [
    (np.zeros(64, np.float16), "the matrix has 1 dimensions, expected 2"),
    (
        np.zeros((32, 32), np.float64),
        "the matrix has dtype float64, expected one of float16, bfloat16, float32, int8",
    ),
    (np.zeros((32, 32), ">f2"), "the matrix has dtype >f2, expected one of float16, bfloat16, float32, int8"),
    (np.zeros((16, 32), np.float16), "16 rows by 32 columns of float16, no multiple of 32 by 32"),
    (np.zeros((32, 24), np.float32), "32 rows by 24 columns of float32, no multiple of 32 by 16"),
    (np.zeros((16, 32), np.int8), "16 rows by 32 columns of int8, no multiple of 16 by 64"),
    (
        np.eye(32, dtype=np.float16)[::-1] + np.tile(np.array([1, 1, 0, 0], np.float16), 8),
        "row 0 fills 3 of the 4 places of quadruple 7, expected at most 2",
    ),
    (np.ones((32, 16), np.float32), "row 0 fills 4 of the 4 places of quadruple 0, expected at most 2"),
]


@pytest.mark.parametrize(("dense", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_refuses_what_has_no_such_form(dense: npt.NDArray[Any], reason: str) -> None:
    with pytest.raises(InputError) as caught:
        semi_structured.pack(dense)
    assert str(caught.value) == f"semi-structured: {reason} [GP330]"


def sample() -> semi_structured.SemiStructured:
    return semi_structured.pack(np.tile(np.array([[0, 1, 0, 2]], np.float16), (32, 8)))


def words(first: int) -> npt.NDArray[np.int16]:
    """Metadata of `sample` whose first word is another one."""
    metadata = sample().metadata.view(np.uint16).copy()
    metadata[0, 0] = first
    return metadata.view(np.int16)


DAMAGE: list[tuple[dict[str, Any], str]] = [
    ({"values": np.ones(16, np.float16)}, "values has 1 dimensions, expected 2"),
    (
        {"values": np.ones((32, 16), ">f2")},
        "values has dtype >f2, expected one of float16, bfloat16, float32, int8",
    ),
    ({"values": np.ones((32, 16), np.int8)}, "metadata has dtype int16, expected int32"),
    ({"values": np.ones((30, 16), np.float16)}, "30 rows by 32 columns of float16, no multiple of 32 by 32"),
    ({"values": np.ones((32, 8), np.float16)}, "32 rows by 16 columns of float16, no multiple of 32 by 32"),
    ({"values": np.ones((32, 32), np.float16)}, "metadata has shape (32, 2), expected (32, 4)"),
    ({"values": np.ones((32, 8), np.float32)}, "row 0 keeps places 1 and 3 of quadruple 0"),
    ({"metadata": np.zeros(64, np.int16)}, "metadata has 1 dimensions, expected 2"),
    ({"metadata": np.zeros((32, 2), ">i2")}, "metadata has dtype >i2, expected int16"),
    ({"metadata": np.zeros((64, 1), np.int16)}, "metadata has shape (64, 1), expected (32, 2)"),
    ({"metadata": words(0xDD7D)}, "row 0 keeps places 3 and 1 of quadruple 1"),
    ({"metadata": words(0xADDD)}, "row 0 keeps places 2 and 2 of quadruple 3"),
]


@pytest.mark.parametrize(("change", "defect"), DAMAGE, ids=[defect for _, defect in DAMAGE])
def test_damaged_matrices_are_named_and_never_unpacked(change: dict[str, Any], defect: str) -> None:
    damaged = dataclasses.replace(sample(), **change)
    assert semi_structured.find_defect(damaged) == defect
    assert not semi_structured.is_valid(damaged)
    with pytest.raises(InputError) as caught:
        semi_structured.unpack(damaged)
    assert str(caught.value) == f"semi-structured: {defect} [GP331]"


@pytest.mark.parametrize("code", set(range(16)) - {0b0100, 0b1000, 0b1001, 0b1100, 0b1101, 0b1110})
def test_only_two_places_in_order_are_legal(code: int) -> None:
    damaged = dataclasses.replace(sample(), metadata=words(0xDDD0 | code))
    assert semi_structured.find_defect(damaged) == f"row 0 keeps places {code & 3} and {code >> 2} of quadruple 0"
