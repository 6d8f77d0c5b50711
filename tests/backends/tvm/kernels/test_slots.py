"""How weights lie in slots; the products with them are tested in `test_row_product.py`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from graphprune.backends.tvm.kernels.slots import SlotProduct, pack_slots, pick_of
from tests.backends.tvm.kernels.harness import V3, V4


def test_a_group_has_the_slots_of_its_fullest_output() -> None:
    block = np.array([[[0, 0, 5, 6, 0, 0, 0, 0], [7, 0, 0, 0, 0, 0, 0, 8]]], np.float32)
    slots = pack_slots(block, 4)
    assert slots.starts.tolist() == [0, 2, 3]
    assert slots.values.tolist() == [[5, 7], [6, 0], [0, 8]]
    assert slots.places.tolist() == [[2, 0], [3, 1], [0, 3]]


def test_what_fills_a_slot_is_an_element_that_is_zero() -> None:
    """So that an infinite input meets the zeros that it meets in a dense product, and no others."""
    weights = np.random.default_rng(0).integers(0, 2, (6, 5, 32)).astype(np.float32)
    slots = pack_slots(weights, 16)
    blocks = np.repeat(np.arange(12), np.diff(slots.starts))
    found = weights.reshape(6, 5, 2, 16).transpose(0, 2, 1, 3).reshape(12, 5, 16)
    for slot, block in enumerate(blocks):
        np.testing.assert_array_equal(found[block, np.arange(5), slots.places[slot]], slots.values[slot])


def test_nothing_is_stored_of_zeros() -> None:
    slots = pack_slots(np.zeros((3, 16, 64), np.float32), 32)
    assert (slots.values.size, slots.places.size, slots.starts.tolist()) == (0, 0, [0] * 7)


def test_share_counts_whole_slots() -> None:
    weights = np.zeros((1, 64, 64), np.float32)
    weights[0, 0, :8] = 1
    assert SlotProduct.of(V4, 1, weights, "w").share == 8 / 64


def test_a_machine_without_the_instruction_has_none() -> None:
    assert pick_of(replace(V4, features=frozenset())) is None
    assert pick_of(V3) != pick_of(V4)
