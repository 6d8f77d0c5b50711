"""N:M groups against a decoder written from their definition, and damaged rows."""

from __future__ import annotations

import dataclasses
from typing import Any

import hypothesis.extra.numpy as hnp
import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphprune.errors import InputError
from graphprune.layouts import nm

SPECIAL = [0.0, 0.0, 0.0, 0.0, -0.0, 1e-45, -1e-40, float("nan"), float("inf"), -float("inf")]


@st.composite
def matrices(draw: st.DrawFn) -> tuple[npt.NDArray[np.float32], int]:
    """A float matrix, zero-size ones included, with every kind of special value, and a size of groups."""
    of = draw(st.sampled_from(nm.GROUP_SIZES))
    shape = draw(st.tuples(st.integers(0, 4), st.integers(0, 2 * of + 1)))
    return draw(hnp.arrays(np.float32, shape, elements=st.sampled_from(SPECIAL) | st.floats(width=32))), of


@st.composite
def conforming(draw: st.DrawFn) -> tuple[npt.NDArray[np.float32], int, int]:
    """A matrix of which every group keeps at most so many, that number, and the size of the groups."""
    dense, of = draw(matrices())
    keep = draw(st.integers(1, of - 1))
    for line in dense:
        for start in range(0, line.size, of):
            line[start + np.flatnonzero(line[start : start + of])[keep:]] = 0
    return dense, keep, of


def decoded(rows: nm.NMRows) -> npt.NDArray[Any]:
    """Slot by slot and bit by bit, as the layout is defined."""
    dense = np.zeros(rows.shape, rows.values.dtype)
    bits = [int(byte) >> position & 1 for byte in rows.indices for position in range(8)]
    width = {2: 1, 4: 2, 8: 3, 16: 4, 32: 5}[rows.of]
    for line, values in enumerate(rows.values):
        for slot, value in enumerate(values):
            start = (line * len(values) + slot) * width
            place = sum(bits[start + bit] << bit for bit in range(width))
            dense[line, slot // rows.keep * rows.of + place] = value
    return dense


@given(conforming())
def test_round_trip_is_bit_exact_but_for_negative_zeros_without_a_slot(
    case: tuple[npt.NDArray[np.float32], int, int],
) -> None:
    dense, keep, of = case
    rows = nm.pack(dense, keep, of)
    assert nm.is_valid(rows)
    back = nm.unpack(rows)
    assert back[dense != 0].tobytes() == dense[dense != 0].tobytes()
    assert not back[dense == 0].any()
    assert back.tobytes() == decoded(rows).tobytes()
    assert rows.nbytes == nm.packed_bytes(rows.shape, 4, keep, of)


@given(conforming())
def test_a_group_is_filled_with_its_lowest_other_places(case: tuple[npt.NDArray[np.float32], int, int]) -> None:
    dense, keep, of = case
    found = nm.places(nm.pack(dense, keep, of))
    for line, places in zip(dense, found, strict=True):
        for group, start in enumerate(range(0, line.size, of)):
            members = line[start : start + of]
            ranked = sorted(range(members.size), key=lambda place: (members[place] == 0, place))
            assert places[group * keep : (group + 1) * keep].tolist() == sorted(ranked[:keep])


def test_the_bytes_are_as_documented() -> None:
    dense = np.array([[0, 5, 0, 7, 0, 0, 3], [1, 0, 0, 0, 0, -0.0, 0]], np.float32)
    rows = nm.pack(dense, 2, 4)
    assert rows.values.tolist() == [[5, 7, 0, 3], [1, 0, 0, 0]]
    assert np.signbit(rows.values).tolist() == [[False] * 4, [False] * 3 + [True]]
    assert nm.places(rows).tolist() == [[1, 3, 0, 2], [0, 1, 0, 1]]
    assert rows.indices.tolist() == [0b10_00_11_01, 0b01_00_01_00]


@given(matrices())
def test_the_fullest_group_decides_what_conforms(case: tuple[npt.NDArray[np.float32], int]) -> None:
    dense, of = case
    groups = [line[start : start + of] for line in dense for start in range(0, line.size, of)]
    most = max((sum(value != 0 for value in group) for group in groups), default=0)
    assert nm.count_kept(dense, of) == most
    if 1 < most < of:
        nm.pack(dense, most, of)
        with pytest.raises(
            InputError, match=rf"nm: a group of {of} has {most} nonzeros, expected .* {most - 1} \[GP330"
        ):
            nm.pack(dense, most - 1, of)


@given(matrices())
def test_no_conforming_form_is_smaller_than_the_smallest(case: tuple[npt.NDArray[np.float32], int]) -> None:
    dense, _ = case
    sizes = [
        nm.pack(dense, keep, of).nbytes
        for of in nm.GROUP_SIZES
        for keep in range(1, of)
        if nm.count_kept(dense, of) <= keep
    ]
    found = nm.smallest(dense != 0, dense.itemsize)
    assert (found is None) == (not sizes)
    if found is not None:
        assert nm.pack(dense, *found).nbytes == min(sizes)


@pytest.mark.parametrize(("keep", "of", "share"), [(2, 4, 0.53125), (1, 4, 0.265625), (1, 2, 0.515625)])
def test_the_share_of_the_dense_bytes(keep: int, of: int, share: float) -> None:
    dense = np.zeros((16, 64), np.float32)
    dense.reshape(16, -1, of)[..., :keep] = 1
    assert nm.smallest(dense != 0, 4) == (keep, of)
    assert nm.pack(dense, keep, of).nbytes == share * dense.nbytes


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ml_dtypes.bfloat16, np.int8])
def test_keeps_the_dtype(dtype: npt.DTypeLike) -> None:
    dense = np.array([[0, 1.5, 0], [0, 0, 0]], dtype)
    rows = nm.pack(dense, 1, 2)
    assert rows.values.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(nm.unpack(rows), dense)


@pytest.mark.parametrize(
    "array",
    [np.zeros(3, np.float32), np.zeros((2, 2), np.int16), np.zeros((2, 2), np.complex64), np.zeros((2, 2), ">f4")],
)
def test_refuses_what_is_not_a_floating_matrix(array: npt.NDArray[Any]) -> None:
    with pytest.raises(InputError, match=r"nm: cannot pack a \d-d \S+ array, expected a 2-d floating one .* \[GP330\]"):
        nm.pack(array, 2, 4)


FORMS = [
    (2, 3, "groups have 3 places, expected 2, 4, 8, 16 or 32"),
    (2, 64, "groups have 64 places, expected 2, 4, 8, 16 or 32"),
    (0, 0, "groups have 0 places, expected 2, 4, 8, 16 or 32"),
    (4, 4, "groups keep 4 of 4, expected at least 1 and not all"),
    (0, 4, "groups keep 0 of 4, expected at least 1 and not all"),
    (-1, 4, "groups keep -1 of 4, expected at least 1 and not all"),
]


@pytest.mark.parametrize(("keep", "of", "defect"), FORMS)
def test_a_form_that_is_none_is_named(keep: int, of: int, defect: str) -> None:
    with pytest.raises(InputError) as caught:
        nm.pack(np.zeros((2, 4), np.float32), keep, of)
    assert str(caught.value) == f"nm: {defect} [GP330]"
    assert nm.find_defect(dataclasses.replace(sample(), keep=keep, of=of)) == defect


def sample() -> nm.NMRows:
    """[[0, 5, 0, 7, 0, 2, 0]] twice and [0, ...] once, as 2:4: places 1 3 0 1, 12 slots, 3 bytes."""
    line = [0, 5, 0, 7, 0, 2, 0]
    return nm.pack(np.array([line, line, [0] * 7], np.float32), 2, 4)


def short() -> nm.NMRows:
    """One line of 3 columns as 1:4: one slot, 2 bits."""
    return nm.pack(np.array([[0, 0, 9]], np.float32), 1, 4)


def uint8(*numbers: int) -> npt.NDArray[np.uint8]:
    return np.array(numbers, np.uint8)


DAMAGE: list[tuple[nm.NMRows, dict[str, Any], str]] = [
    (sample(), {"values": np.ones(12, np.float32)}, "values have shape [12], expected [3, 4]"),
    (sample(), {"values": np.ones((3, 3), np.float32)}, "values have shape [3, 3], expected [3, 4]"),
    (sample(), {"shape": (3, 9)}, "values have shape [3, 4], expected [3, 5]"),
    (
        sample(),
        {"values": np.ones((3, 4), np.int32)},
        "values have dtype int32, expected a floating one in native byte order, or one of 8-bit integers",
    ),
    (
        sample(),
        {"values": np.ones((3, 4), ">f4")},
        "values have dtype >f4, expected a floating one in native byte order, or one of 8-bit integers",
    ),
    (sample(), {"indices": np.zeros(3, np.int8)}, "indices have dtype int8, expected uint8"),
    (sample(), {"indices": np.zeros(3, ">u2")}, "indices have dtype >u2, expected uint8"),
    (sample(), {"indices": uint8(0x4D, 0x4D)}, "indices have shape [2], expected [3]"),
    (sample(), {"indices": uint8(0x4D, 0x4D, 0x44, 0)}, "indices have shape [4], expected [3]"),
    (sample(), {"indices": np.zeros((3, 1), np.uint8)}, "indices have shape [3, 1], expected [3]"),
    (sample(), {"indices": uint8(0x4D, 0xCD, 0x44)}, "place 3 at line 1, slot 3 is outside [0, 3)"),
    (sample(), {"indices": uint8(0x4D, 0x47, 0x44)}, "places do not increase at line 1, slot 1: 3 then 1"),
    (sample(), {"indices": uint8(0x4D, 0x4D, 0x45)}, "places do not increase at line 2, slot 1: 1 then 1"),
    (short(), {"indices": uint8(0b11)}, "place 3 at line 0, slot 0 is outside [0, 3)"),
    (short(), {"indices": uint8(0b110)}, "indices end in 0b00000110, expected zeros above bit 2"),
]


@pytest.mark.parametrize(("rows", "change", "defect"), DAMAGE, ids=[defect for *_, defect in DAMAGE])
def test_damaged_rows_are_named_and_never_unpacked(rows: nm.NMRows, change: dict[str, Any], defect: str) -> None:
    damaged = dataclasses.replace(rows, **change)
    assert nm.find_defect(damaged) == defect
    assert not nm.is_valid(damaged)
    with pytest.raises(InputError) as caught:
        nm.unpack(damaged)
    assert str(caught.value) == f"nm: {defect} [GP331]"


@given(conforming(), st.data())
def test_no_bytes_lead_out_of_their_group(case: tuple[npt.NDArray[np.float32], int, int], data: st.DataObject) -> None:
    """Random indices either are a defect, or decode to what their definition says."""
    rows = nm.pack(*case)
    indices = data.draw(hnp.arrays(np.uint8, rows.indices.shape))
    spoilt = dataclasses.replace(rows, indices=indices)
    if nm.is_valid(spoilt):
        assert nm.unpack(spoilt).tobytes() == decoded(spoilt).tobytes()
    else:
        with pytest.raises(InputError, match="GP331"):
            nm.unpack(spoilt)
