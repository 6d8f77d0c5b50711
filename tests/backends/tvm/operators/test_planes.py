"""Tiles of products at positions: their width, and whether their input is copied."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graphprune.backends.tvm.kernels.builder import WIDE_L1_BYTES, Machine
from graphprune.backends.tvm.kernels.problem import Planes
from graphprune.backends.tvm.operators.planes import position_problem
from graphprune.backends.tvm.operators.weights import Weight, dense_weight
from graphprune.layouts import csr
from tests.backends.tvm.graphs import pruned
from tests.backends.tvm.kernels.harness import V3, V4

WIDE = replace(V4, l1_bytes=WIDE_L1_BYTES)
MATRIX = pruned(512, 64, zeros=0.5)
ROWS = Weight(512, 64, 1, rows=csr.pack(MATRIX))
SHORT_ROWS = Weight(512, 64, 1, rows=csr.pack(pruned(512, 64, zeros=0.9)))


@pytest.mark.parametrize(
    ("machine", "weight", "positions", "vectors", "copied"),
    [
        pytest.param(WIDE, ROWS, 128, 8, False, id="the whole input, which lies as its copy would"),
        pytest.param(WIDE, ROWS, 256, 8, True, id="long rows"),
        pytest.param(WIDE, ROWS, 120, 8, True, id="not whole vectors"),
        pytest.param(WIDE, replace(ROWS, height=2), 256, 4, True, id="rows that share loads"),
        pytest.param(WIDE, dense_weight(MATRIX[:, :, None]), 128, 4, True, id="dense"),
        pytest.param(V4, ROWS, 128, 4, True, id="one multiply-add a cycle"),
        pytest.param(V4, ROWS, 64, 4, False, id="the whole input there"),
        pytest.param(V3, ROWS, 64, 8, False, id="the whole input, in short vectors"),
        pytest.param(V3, ROWS, 128, 8, True, id="long rows, in short vectors"),
        pytest.param(V3, SHORT_ROWS, 128, 6, True, id="rows of few nonzeros, in short vectors"),
        pytest.param(WIDE, SHORT_ROWS, 256, 4, True, id="rows of few nonzeros"),
    ],
)
def test_tiles(machine: Machine, weight: Weight, positions: int, vectors: int, *, copied: bool) -> None:
    problem = position_problem(machine, Planes(64 * positions, 64, 0, positions), 1, weight, positions)
    assert -(-problem.tiling.span // machine.lanes) == vectors
    assert problem.copy_tile == copied


def test_a_part_of_longer_planes_is_copied() -> None:
    assert position_problem(WIDE, Planes(64 * 256, 64, 0, 256), 1, ROWS, 128).copy_tile
