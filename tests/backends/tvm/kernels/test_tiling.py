"""Tiles cover every output once and waste little."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphprune.backends.tvm.kernels.tiling import (
    MOST_VECTORS,
    Tile,
    Tiling,
    chunks,
    tile_equal_rows,
    tile_positions,
    tile_rows,
)


def covered(tiling: Tiling) -> list[tuple[int, int]]:
    """(input place, output place) of every output that some tile computes."""
    places = []
    for tile in tiling.tiles:
        for number in range(tile.first, tile.first + tile.count):
            for input_start, output_start, length in tile.segments:
                assert input_start + length <= tile.span
                base = tiling.starts(number)[0] + input_start, tiling.starts(number)[1] + output_start
                places += [(base[0] + i, base[1] + i) for i in range(length)]
    return places


@given(st.integers(1, 3000), st.sampled_from([8, 16]), st.integers(1, 8))
def test_positions_are_covered_once(positions: int, lanes: int, vectors: int) -> None:
    tiling = tile_positions(positions, lanes, vectors)
    assert covered(tiling) == [(i, i) for i in range(positions)]
    assert tiling.span <= (vectors if vectors == 1 else vectors + 1) * lanes
    assert tiling.count == sum(tile.count for tile in tiling.tiles)


@given(st.integers(1, 60), st.integers(1, 150), st.integers(0, 12), st.sampled_from([8, 16]))
def test_rows_are_covered(rows: int, width: int, extra: int, lanes: int) -> None:
    pitch = width + extra
    tiling = tile_rows(rows, width, pitch, lanes)
    places = covered(tiling)
    assert sorted(set(places)) == [(r * pitch + c, r * width + c) for r in range(rows) for c in range(width)]
    assert tiling.pieces > 1 or len(places) == rows * width
    assert tiling.span <= MOST_VECTORS * lanes


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_rows_a_tile_may_be_chosen(rows: int, width: int, per_tile: int) -> None:
    tiling = tile_equal_rows(rows, width, width, per_tile)
    assert covered(tiling) == [(i, i) for i in range(rows * width)]
    assert all(len(tile.segments) <= per_tile for tile in tiling.tiles)


@pytest.mark.parametrize(("positions", "steps"), [(3136, 64), (784, 64), (196, 64), (49, 64), (197, 64), (128, 64)])
def test_steps_are_even(positions: int, steps: int) -> None:
    assert tile_positions(positions, 16, 4).input_step == steps


def test_a_short_last_tile_has_its_own_span() -> None:
    tiling = tile_positions(150, 16, 4)
    assert [(t.first, t.count, t.span) for t in tiling.tiles] == [(0, 2, 64), (2, 1, 22)]
    assert [t.outputs for t in tiling.tiles] == [64, 22]


def test_one_vector_left_joins_the_last_tile() -> None:
    tiling = tile_positions(196, 16, 4)
    assert [(t.first, t.count, t.span) for t in tiling.tiles] == [(0, 2, 64), (2, 1, 68)]


def test_narrow_planes_take_several_rows_a_tile() -> None:
    (tile,) = tile_rows(7, 7, 9, 16).tiles
    assert tile == Tile(0, 1, 61, tuple((r * 9, r * 7, 7) for r in range(7)))


@given(st.integers(1, 1000), st.sampled_from([8, 16]), st.integers(1, 8))
def test_chunks_are_even_and_complete(span: int, lanes: int, most: int) -> None:
    result = chunks(span, lanes, most)
    sizes = [vectors for _, vectors in result]
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1
    assert sum(sizes) == -(-span // lanes)
    assert [first for first, _ in result] == [sum(sizes[:i]) * lanes for i in range(len(sizes))]
