"""Which layout a weight gets: texts, the smallest of several, and refusals with their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from graphprune.packed.choice import KNOWN_LAYOUTS, is_layout, pack, smallest_form


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(
            (text, True)
            for text in ("auto", "rows", "bitmask", "1:2", "2:4", "7:8", "31:32", "block 4x1", "block 10x3")
        ),
        *((text, False) for text in ("", "row", "0:4", "4:4", "5:4", "2:5", "02:4", "2:4 ", "2:64", "100:128")),
        *((text, False) for text in ("block", "block 0x1", "block 1x0", "block 4x", "block 4 x 1", "block 4x1x1")),
    ],
)
def test_texts_of_layouts(text: str, expected: bool) -> None:  # noqa: FBT001
    assert is_layout(text) is expected


def test_messages_list_what_there_is() -> None:
    assert KNOWN_LAYOUTS == "auto, rows, bitmask, 'block RxC', or N:M with N below M and M one of 2, 4, 8, 16, 32"


def weight_of(outputs: int, inputs: int, *zeros: int) -> npt.NDArray[Any]:
    """A weight of ones some of whose input channels are zero."""
    weight = np.ones((outputs, inputs), np.float32)
    weight[:, list(zeros)] = 0
    return weight


REFUSED = {
    "too full": ("rows", weight_of(2, 10, 3), 0.2, ("GP340", "2 of 20 elements are zero, fewer than 20.0%")),
    "full": (
        "auto", weight_of(2, 10), 0.05,
        ("GP340", "0 of 20 elements are zero, fewer than 5.0%, and no N:M groups or blocks are smaller"),
    ),
    "more than groups keep": (
        "1:4", weight_of(2, 8, 1, 6), 0.0,
        ("GP347", "3 of 4 consecutive input channels are not zero, expected at most 1"),
    ),
    "more bytes in groups": ("1:2", weight_of(1, 1), 0.0, ("GP348", "takes 5 bytes as 1:2, and 4 as it is")),
    "outputs that blocks do not divide": (
        "block 3x2", weight_of(4, 6), 0.0, ("GP349", "has 4 outputs and 6 inputs, no multiples of 3 and 2")
    ),
    "inputs that blocks do not divide": (
        "block 2x4", np.ones((4, 6, 3, 3), np.float32), 0.0,
        ("GP349", "has 4 outputs and 6 inputs, no multiples of 2 and 4"),
    ),
    "more bytes in blocks": (
        "block 4x1", weight_of(4, 2), 0.0, ("GP348", "takes 48 bytes in block 4x1, and 32 as it is")
    ),
    "as many bytes in blocks": (
        "block 4x1", weight_of(4, 3, 0), 0.0, ("GP348", "takes 48 bytes in block 4x1, and 48 as it is")
    ),
}  # fmt: skip


@pytest.mark.parametrize(("layout", "weight", "least", "expected"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_packed_says_why(
    layout: str, weight: npt.NDArray[Any], least: float, expected: tuple[str, str]
) -> None:
    assert pack(weight, layout, least) == expected


LAYOUTS = {
    "rows": ("rows", weight_of(2, 10, 3), 0.1, "rows"),  # as many zeros as asked for
    "a bit mask": ("bitmask", weight_of(2, 10, 3), 0.0, "bitmask"),
    "groups": ("2:4", weight_of(2, 8, 0, 1, 6, 7), 1.0, "2:4"),
    "blocks": ("block 2x2", weight_of(2, 8, 0, 1, 6, 7), 1.0, "block 2x2"),
    "the smallest groups": ("auto", weight_of(4, 16, *range(1, 16, 2)), 1.0, "1:2"),
    "the smallest blocks": ("auto", np.kron(np.eye(4), np.ones((8, 8))).astype(np.float32), 1.0, "block 8x8"),
    "few nonzeros": ("auto", np.eye(100, dtype=np.float32), 0.5, "rows"),
    "more nonzeros": ("auto", (np.random.default_rng(0).random((40, 40)) < 0.2).astype(np.float32), 0.5, "bitmask"),
}


@pytest.mark.parametrize(("layout", "weight", "least", "expected"), LAYOUTS.values(), ids=LAYOUTS)
def test_what_is_packed(layout: str, weight: npt.NDArray[Any], least: float, expected: str) -> None:
    packed = pack(weight, layout, least)
    assert not isinstance(packed, tuple)
    assert packed.layout == expected
    np.testing.assert_array_equal(packed.dense(), weight)


def test_groups_are_smaller_than_the_weight_to_the_byte() -> None:
    """A line of `3:4` takes 3 elements and 6 bits, in whole bytes; that is what 4 elements of one byte take."""
    nonzero = np.array([[True, True, False, True]])
    assert smallest_form(nonzero, 4) == (3, 4)
    assert smallest_form(nonzero, 1) is None
    assert smallest_form(np.ones((2, 4), np.bool_), 4) is None


def test_groups_that_take_more_bytes_are_refused() -> None:
    assert pack(np.ones((8, 1), np.float32), "1:2", 0.0) == ("GP348", "takes 33 bytes as 1:2, and 32 as it is")
