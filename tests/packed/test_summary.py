"""What is told about packed weights."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.packed.summary import StoredWeight, pattern_of, stored_weights
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from tests.weighted import weighted_model

TEXT = """main (float[N,8] x, float[8,8] w, float[8,8] wide) => (float[N,8] y) {
    [first] a = MatMul (x, w)
    [second] b = MatMul (a, w)
    y = MatMul (b, wide)
}"""


def test_a_shared_weight_is_told_once_and_a_dense_one_not() -> None:
    weight = np.zeros((8, 8), np.float32)
    weight[[0, 1, 4, 6]] = 1
    weight[6, 0] = 0
    result = run_pass(PackWeights(layout="2:4"), weighted_model(TEXT, {"w": weight}))
    assert stored_weights(result.model) == [
        StoredWeight(
            name="w",
            node="first",
            operator="MatMul",
            shape=(8, 8),
            layout="2:4",
            sparsity=33 / 64,
            pattern="2:4",
            stored_bytes=4 * 32 + 8,
            dense_bytes=4 * 64,
        )
    ]


def test_the_pattern_of_rows_is_told_too() -> None:
    weight = np.zeros((8, 8), np.float32)
    weight[::4] = 1
    model = run_pass(PackWeights(layout="rows"), weighted_model(TEXT, {"w": weight})).model
    assert [(each.layout, each.pattern) for each in stored_weights(model)] == [("rows", "1:4")]


def test_a_model_without_packed_weights_has_none() -> None:
    assert stored_weights(weighted_model(TEXT)) == []


@pytest.mark.parametrize(
    ("block", "expected"), [((4, 1), "block 4x1"), ((1, 8), "block 1x8"), ((8, 8), "block 8x8"), ((1, 1), None)]
)
def test_blocks_are_recognised(block: tuple[int, int], expected: str | None) -> None:
    kept = np.random.default_rng(0).random((64 // block[0], 64 // block[1])) < 0.2
    kept[0, :] = True  # so that no N:M form fits
    nonzero = np.repeat(np.repeat(kept, block[0], axis=0), block[1], axis=1)
    assert pattern_of(nonzero, 4) == expected
    assert pattern_of(np.ones((64, 64), np.bool_), 4) is None
