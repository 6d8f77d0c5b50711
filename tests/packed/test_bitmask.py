"""Weights under a bit mask: read back from their arrays, and what is wrong with damaged ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from graphprune.packed.bitmask import BitmaskWeight

WEIGHT = np.zeros((3, 5, 2), np.float32)
WEIGHT[0, 1, 1], WEIGHT[1, 4, 0], WEIGHT[1, 0, 0] = 1, 2, 3


def test_it_is_read_back() -> None:
    packed = BitmaskWeight.pack(WEIGHT)
    again = BitmaskWeight.read(packed.arrays, (), WEIGHT.shape)
    assert again.find_defect() is None
    assert again.rows.row_offsets.tolist() == [0, 1, 3, 3]
    np.testing.assert_array_equal(again.dense(), WEIGHT)
    assert (again.layout, again.nbytes, again.attributes) == ("bitmask", 3 * 4 + 3 * 2, {})


VALUES, BITS = BitmaskWeight.pack(WEIGHT).arrays


@pytest.mark.parametrize(
    ("values", "bits", "defect"),
    [
        (VALUES[:2], BITS, "2 values for 3 bits"),
        (VALUES, BITS * 0, "3 values for 0 bits"),
        (VALUES, BITS.ravel(), "3 values for 0 bits"),
        (VALUES[:0], BITS.ravel()[:1], "bits has 1 dimensions, expected 2"),
        (VALUES, BITS.astype(np.int64), "bits has dtype int64, expected uint8"),
        (VALUES[:0], BITS.astype(np.float32), "bits has dtype float32, expected uint8"),
    ],
)
def test_what_is_damaged_is_said(values: npt.NDArray[Any], bits: npt.NDArray[Any], defect: str) -> None:
    assert BitmaskWeight.read((values, bits), (), WEIGHT.shape).find_defect() == defect
